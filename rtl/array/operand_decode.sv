// SPDX-License-Identifier: Apache-2.0
// Top edge of a lane: one byte of a beat to the two operands of its chains. Combinational, exact.
//
// FP4: the nibbles are E2M1 codes, each becomes twice its value (-12..12). INT8: the byte is one element,
// lo its low nibble (0..15), hi its high half (-8..7): value = lo + 16 * hi.
module operand_decode
  import tandem_pkg::*;
(
  input  logic       int8_i,
  input  logic [7:0] byte_i,
  output operand_t   operand_o
);

  function automatic logic signed [4:0] doubled(input logic [3:0] code);
    logic signed [4:0] magnitude;
    unique case (code[2:0])
      3'd5:    magnitude = 5'sd6;
      3'd6:    magnitude = 5'sd8;
      3'd7:    magnitude = 5'sd12;
      default: magnitude = signed'({2'b0, code[2:0]});
    endcase
    return code[3] ? -magnitude : magnitude;
  endfunction

  always_comb begin
    operand_o.lo = doubled(byte_i[3:0]);
    operand_o.hi = doubled(byte_i[7:4]);
    if (int8_i) begin
      operand_o.lo = {1'b0, byte_i[3:0]};
      operand_o.hi = {byte_i[7], byte_i[7:4]};
    end
  end

endmodule : operand_decode
