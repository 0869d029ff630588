// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/link/crc32c_zeros.sv`.

use super::crc32c::narrow;
use crate::block::Wide;
use crate::numerics::crc32c::POLYNOMIAL;

/// The CRC state after a number of bytes that are zero: a linear function of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crc32cZeros {
    /// What each bit of the state leaves.
    residues: [u32; 32],
}

impl Crc32cZeros {
    /// For so many bytes.
    #[must_use]
    pub const fn new(bytes: usize) -> Self {
        let mut residues = [0; 32];
        let mut bit = 0;
        while bit < 32 {
            let mut residue = 1u32 << bit;
            let mut step = 0;
            while step < 8 * bytes {
                residue = residue >> 1 ^ if residue & 1 == 1 { POLYNOMIAL } else { 0 };
                step += 1;
            }
            residues[bit] = residue;
            bit += 1;
        }
        Self { residues }
    }

    /// The state after the bytes.
    #[must_use]
    pub fn after(&self, state: Wide<32>) -> Wide<32> {
        let state = narrow(state);
        let bits = self.residues.iter().enumerate().filter(|(bit, _)| state >> bit & 1 == 1);
        Wide(u64::from(bits.fold(0, |after, (_, residue)| after ^ residue)))
    }
}
