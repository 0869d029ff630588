// SPDX-License-Identifier: Apache-2.0
//! The one bridge to C++: a verilated device as flat images.

#![allow(unsafe_code, reason = "cxx generates the calls into C++ here and nowhere else")]
#![allow(missing_docs, reason = "documented in cosim/cpp/bridge.h and wrapped by `device`")]

#[cxx::bridge(namespace = "tandem")]
pub mod ffi {
    /// Bytes of each image.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct ImageSizes {
        inputs: usize,
        outputs: usize,
        registers: usize,
        memories: usize,
    }

    unsafe extern "C++" {
        include!("bridge.h");

        type Device;

        fn linked_device(name: &str, seed: u64) -> Result<UniquePtr<Device>>;
        fn loaded_device(path: &str, name: &str, seed: u64) -> Result<UniquePtr<Device>>;
        fn sizes(&self) -> ImageSizes;
        fn step(
            self: Pin<&mut Device>,
            rst_ni: bool,
            inputs: &[u8],
            registers: &mut [u8],
            outputs: &mut [u8],
        ) -> Result<()>;
        fn advance(self: Pin<&mut Device>, rst_ni: bool, inputs: &[u8], outputs: &mut [u8]) -> Result<()>;
        fn memories(self: Pin<&mut Device>, image: &mut [u8]) -> Result<()>;
        fn flip(self: Pin<&mut Device>, memory: usize, entry: usize, bit: u32) -> Result<()>;
        fn save(self: Pin<&mut Device>) -> Result<()>;
        fn restore(self: Pin<&mut Device>) -> Result<()>;
    }
}
