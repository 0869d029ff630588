// SPDX-License-Identifier: Apache-2.0
// What every verilated device shares: clocking, random initial state, snapshots, errors.
#pragma once

#include <cstring>
#include <memory>
#include <stdexcept>
#include <type_traits>

#include "dut.h"
#include "verilated.h"
#include "verilated_save.h"

namespace tandem {

// Verilator's storage is the image's layout, so a copy is a memcpy; the sizes were computed from the model's list.
template <std::size_t Bytes, typename T>
inline void copy(std::uint8_t* to, const T& from) {
  static_assert(sizeof(T) == Bytes, "register width differs between model and RTL");
  std::memcpy(to, &from, Bytes);
}

template <std::size_t Bytes, typename T>
inline void fill(T& to, const std::uint8_t* from) {
  static_assert(sizeof(T) == Bytes, "port width differs between model and RTL");
  std::memcpy(&to, from, Bytes);
}

// Flips a bit of an entry of Bytes bytes.
template <std::size_t Bytes, typename T>
inline void toggle(T& memory, std::size_t entry, std::uint32_t bit) {
  if (entry >= sizeof(T) / Bytes || bit >= 8 * Bytes) throw std::out_of_range("a memory has no such bit");
  reinterpret_cast<std::uint8_t*>(&memory)[entry * Bytes + bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
}

// Snapshot into memory: Verilator's serializer with a vector for a file.
class MemorySave final : public VerilatedSerialize {
 public:
  explicit MemorySave(std::vector<std::uint8_t>& to) : to_(to) { m_isOpen = true; }
  ~MemorySave() override { flush(); }
  void flush() VL_MT_UNSAFE_ONE override {
    to_.insert(to_.end(), m_bufp, m_cp);
    m_cp = m_bufp;
  }

 private:
  std::vector<std::uint8_t>& to_;
};

class MemoryRestore final : public VerilatedDeserialize {
 public:
  explicit MemoryRestore(const std::vector<std::uint8_t>& from) : from_(from) {
    m_isOpen = true;
    m_endp = m_bufp;
    fill();
  }
  void fill() override {
    // Unread bytes move to the front, the buffer's rest is topped up.
    const std::size_t left = static_cast<std::size_t>(m_endp - m_cp);
    std::memmove(m_bufp, m_cp, left);
    const std::size_t more = std::min(bufferSize() - left, from_.size() - at_);
    std::memcpy(m_bufp + left, from_.data() + at_, more);
    at_ += more;
    m_cp = m_bufp;
    m_endp = m_bufp + left + more;
  }

 private:
  const std::vector<std::uint8_t>& from_;
  std::size_t at_ = 0;
};

// Registers start with random values of this seed, so that a missing reset shows.
inline std::unique_ptr<VerilatedContext> seeded_context(std::uint64_t seed) {
  auto context = std::make_unique<VerilatedContext>();
  context->randReset(2);
  context->randSeed(static_cast<int>(1 + seed % 0x7ffffffe));  // 0 would mean: from the clock
  return context;
}

template <typename Top>
class VerilatedDut : public Dut {
 public:
  explicit VerilatedDut(std::uint64_t seed) : context_(seeded_context(seed)), top_(context_.get(), "TOP") {
    top_.clk_i = 0;
    top_.rst_ni = 0;
    top_.eval();
  }
  ~VerilatedDut() override {
    // Verilator's scopes deregister from the context that this thread used last: it must be this one, and alive.
    Verilated::threadContextp(context_.get());
    top_.final();
  }

  void clock(bool rst_ni) override {
    // A failed assertion counts its error in the context that this thread used last: it must be alive.
    Verilated::threadContextp(context_.get());
    top_.rst_ni = rst_ni;
    top_.clk_i = 1;
    top_.eval();
    top_.clk_i = 0;
    top_.eval();
  }
  void save(std::vector<std::uint8_t>& to) override {
    to.clear();
    MemorySave out(to);
    out << top_;
  }
  void restore(const std::vector<std::uint8_t>& from) override {
    MemoryRestore in(from);
    in >> top_;
  }

 protected:
  std::unique_ptr<VerilatedContext> context_;
  Top top_;
};

}  // namespace tandem
