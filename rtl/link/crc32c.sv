// SPDX-License-Identifier: Apache-2.0
// CRC-32C (Castagnoli, reflected): the state after `Bytes` more bytes, byte 0 first, bit 0 of a byte first.
// Combinational, exact. Neither the initial state nor the final complement is in here.
module crc32c #(
  parameter int unsigned Bytes  // 4 or more
) (
  input  logic           [31:0] state_i,
  input  logic [Bytes-1:0][7:0] data_i,
  output logic           [31:0] state_o
);

  localparam int unsigned Bits = 8 * Bytes;
  localparam logic [31:0] Polynomial = 32'h82f63b78;

  // Which bits of the input bit `r` of the new state looks at. The residue of the last bit is the polynomial; every bit before it
  // is one step further: shift right, and subtract the polynomial where a one falls out.
  function automatic logic [Bits-1:0] row(logic [4:0] r);
    logic [31:0] residue = Polynomial;
    for (int unsigned k = 0; k < Bits; k++) begin
      row[Bits-1-k] = residue[r];
      residue       = {1'b0, residue[31:1]} ^ (residue[0] ? Polynomial : 32'd0);
    end
  endfunction

  // The state before is the same as ones and zeros in the first 32 bits.
  logic [Bits-1:0] mixed;
  always_comb begin
    mixed        = data_i;
    mixed[31:0] ^= state_i;
  end

  for (genvar r = 0; r < 32; r++) begin : gen_row
    localparam logic [Bits-1:0] Row = row(5'(r));
    assign state_o[r] = ^(mixed & Row);
  end

endmodule : crc32c
