// SPDX-License-Identifier: Apache-2.0
// A device under test as the lockstep engine sees it: flat images in, flat images out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tandem {

// Bytes of each image.
struct Sizes {
  std::size_t inputs, outputs, registers, memories;
};

class Dut {
 public:
  using Sizes = tandem::Sizes;
  virtual ~Dut() = default;

  virtual Sizes sizes() const = 0;
  // Sets every input but clock and reset.
  virtual void drive(const std::uint8_t* image) = 0;
  // One clock with rst_ni as given. Throws std::runtime_error when an invariant of the RTL fails.
  virtual void clock(bool rst_ni) = 0;
  virtual void read_outputs(std::uint8_t* image) = 0;
  virtual void read_registers(std::uint8_t* image) = 0;
  virtual void read_memories(std::uint8_t* image) = 0;
  // Flips a bit of an entry of the memory with this number, in the order of the image. What the RTL reads without a
  // register between shows it a clock late.
  virtual void flip(std::size_t memory, std::size_t entry, std::uint32_t bit) = 0;
  virtual void save(std::vector<std::uint8_t>& to) = 0;
  virtual void restore(const std::vector<std::uint8_t>& from) = 0;
};

using DutFactory = Dut* (*)(std::uint64_t seed);

}  // namespace tandem
