// SPDX-License-Identifier: Apache-2.0
// Check bits of 64 data bits: a Hsiao code that corrects one wrong bit of 72 and detects two. Combinational, exact.
module secded_encode (
  input  logic [63:0] data_i,
  output logic  [7:0] check_o
);

  `include "secded.svh"

  for (genvar r = 0; r < 8; r++) begin : gen_row
    assign check_o[r] = ^(data_i & SecdedRows[r]);
  end

endmodule : secded_encode
