// SPDX-License-Identifier: Apache-2.0
// The SECDED code of the banks, said once: included into the module that needs it.
// Row r of the parity-check matrix over the data bits; check bit r stands alone in row r. The column of data bit i is
// {SecdedRows[7][i], ..., SecdedRows[0][i]}: docs/blocks/secded_encode.md, "Numerics".
localparam logic [7:0][63:0] SecdedRows = {
  64'hf8fffff800000000,
  64'h7cfc0007fff00000,
  64'h3e83e007c00ffc00,
  64'h1f421e043c0f03f0,
  64'h8f2111c22388e38e,
  64'hc710893112649a6d,
  64'he30844a88952555b,
  64'hf104225844b12cb7
};
