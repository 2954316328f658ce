// Philox4x32-10: random words as a pure function of (counter, key), so that any split of the work draws the same noise.
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
#pragma once
#include <cstdint>

#include "fixed.h"

namespace mie {

constexpr int kPhiloxRounds = 10;
constexpr uint32_t kPhiloxMultiply0 = 0xD2511F53u;
constexpr uint32_t kPhiloxMultiply1 = 0xCD9E8D57u;
constexpr uint32_t kPhiloxKeyStep0 = 0x9E3779B9u;  // golden ratio
constexpr uint32_t kPhiloxKeyStep1 = 0xBB67AE85u;  // sqrt(3) - 1

// Replaces the four counter words by four random words.
MIE_HOST_DEVICE inline void philox4x32(uint32_t word[4], uint32_t key0, uint32_t key1) {
    for (int round = 0; round < kPhiloxRounds; ++round, key0 += kPhiloxKeyStep0, key1 += kPhiloxKeyStep1) {
        const uint64_t p = uint64_t(kPhiloxMultiply0) * word[0];
        const uint64_t q = uint64_t(kPhiloxMultiply1) * word[2];
        word[0] = uint32_t(q >> 32) ^ word[1] ^ key0;
        word[1] = uint32_t(q);
        word[2] = uint32_t(p >> 32) ^ word[3] ^ key1;
        word[3] = uint32_t(p);
    }
}

// The keys of the ten rounds, widened to 64 bits so that vector code can broadcast them from memory.
struct PhiloxKeys {
    uint64_t first[kPhiloxRounds], second[kPhiloxRounds];
    PhiloxKeys(uint32_t key0, uint32_t key1) {
        for (uint32_t round = 0; round < kPhiloxRounds; ++round) {
            first[round] = key0 + round * kPhiloxKeyStep0;
            second[round] = key1 + round * kPhiloxKeyStep1;
        }
    }
};

}  // namespace mie
