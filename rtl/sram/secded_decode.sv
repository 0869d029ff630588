// SPDX-License-Identifier: Apache-2.0
// Corrects one wrong bit of a 72-bit codeword and detects two. Combinational, exact. The data of an uncorrectable
// codeword leave as they came.
module secded_decode (
  input  logic [63:0] data_i,
  input  logic  [7:0] check_i,
  output logic [63:0] data_o,
  output logic        corrected_o,     // one bit was wrong, of data or check
  output logic        uncorrectable_o  // more were
);

  `include "secded.svh"

  logic  [7:0] check, syndrome;
  logic [63:0] wrong_data;
  logic  [7:0] wrong_check;

  secded_encode u_encode (
    .data_i,
    .check_o(check)
  );

  // The syndrome of one wrong bit is that bit's column of the matrix; two make an even number of ones.
  assign syndrome = check ^ check_i;
  for (genvar i = 0; i < 64; i++) begin : gen_data
    logic [7:0] column;
    for (genvar r = 0; r < 8; r++) begin : gen_row
      assign column[r] = SecdedRows[r][i];
    end
    assign wrong_data[i] = syndrome == column;
  end
  for (genvar r = 0; r < 8; r++) begin : gen_check
    assign wrong_check[r] = syndrome == 8'(1 << r);
  end

  assign data_o          = data_i ^ wrong_data;
  assign corrected_o     = |wrong_data || |wrong_check;
  assign uncorrectable_o = syndrome != '0 && !corrected_o;

endmodule : secded_decode
