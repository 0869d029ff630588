// SPDX-License-Identifier: Apache-2.0
#include "bridge.h"

#include <dlfcn.h>

#include <stdexcept>
#include <string>

#include "tandem/cosim/bridge.rs.h"

namespace tandem {

static void require(bool fits) {
  // The Rust side sizes every image by sizes(); this guards the bridge itself.
  if (!fits) throw std::length_error("an image of the wrong size reached the device");
}

ImageSizes Device::sizes() const {
  const Sizes s = dut_->sizes();
  return {s.inputs, s.outputs, s.registers, s.memories};
}

void Device::step(bool rst_ni, rust::Slice<const std::uint8_t> inputs, rust::Slice<std::uint8_t> registers,
                  rust::Slice<std::uint8_t> outputs) {
  require(registers.size() == dut_->sizes().registers);
  advance(rst_ni, inputs, outputs);
  dut_->read_registers(registers.data());
}

void Device::advance(bool rst_ni, rust::Slice<const std::uint8_t> inputs, rust::Slice<std::uint8_t> outputs) {
  const Sizes s = dut_->sizes();
  require(inputs.size() == s.inputs && outputs.size() == s.outputs);
  dut_->drive(inputs.data());
  dut_->clock(rst_ni);
  dut_->read_outputs(outputs.data());
}

void Device::memories(rust::Slice<std::uint8_t> image) {
  require(image.size() == dut_->sizes().memories);
  dut_->read_memories(image.data());
}

void Device::flip(std::size_t memory, std::size_t entry, std::uint32_t bit) { dut_->flip(memory, entry, bit); }

void Device::save() { dut_->save(snapshot_); }

void Device::restore() {
  if (snapshot_.empty()) throw std::logic_error("there is no snapshot to go back to");
  dut_->restore(snapshot_);
}

std::unique_ptr<Device> linked_device(rust::Str name, std::uint64_t seed) {
  const DutFactory factory = linked_factory(std::string(name));
  if (factory == nullptr) {
    throw std::runtime_error("no device " + std::string(name) + " is linked in: build without TANDEM_DEVICES");
  }
  return std::make_unique<Device>(std::unique_ptr<Dut>(factory(seed)), nullptr);
}

std::unique_ptr<Device> loaded_device(rust::Str path, rust::Str name, std::uint64_t seed) {
  void* handle = dlopen(std::string(path).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) throw std::runtime_error(std::string("cannot load the device: ") + dlerror());
  std::shared_ptr<void> library(handle, dlclose);
  const std::string symbol = "tandem_dut_" + std::string(name);
  const auto factory = reinterpret_cast<DutFactory>(dlsym(handle, symbol.c_str()));
  if (factory == nullptr) throw std::runtime_error("the library has no " + symbol);
  return std::make_unique<Device>(std::unique_ptr<Dut>(factory(seed)), std::move(library));
}

}  // namespace tandem
