// SHA-256 (FIPS 180-4) of a file's bytes, as 64 hex digits.
#pragma once
#include <string>

namespace mie {
std::string sha256(const std::string& bytes);
}
