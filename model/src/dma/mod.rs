// SPDX-License-Identifier: Apache-2.0
//! Units that move operands and tokens between memory and array, register for register as `rtl/dma/`.

pub mod appender;
#[expect(clippy::module_inception, reason = "the top is called as its group is")]
pub mod dma;
pub mod operand_loader;
