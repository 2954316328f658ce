// Splits a range over the engine's own threads, which sleep between calls.
#pragma once
#include <cstdint>
#include <functional>

namespace mie {

// Calls body(first, last) over [0, count) in pieces of at most `span`, on the calling thread and up to threads - 1 others, and returns
// when all is done; a single thread gets everything in one piece. The first exception a piece throws is thrown here, after the others have
// ended; pieces not yet begun are dropped. May be called from several threads at once, from inside a body, and in a child after fork().
void parallel_for(int64_t count, int64_t span, int threads, const std::function<void(int64_t first, int64_t last)>& body);

}  // namespace mie
