// SPDX-License-Identifier: Apache-2.0
// CRC-32C (Castagnoli, reflected): the state after `Bytes` bytes that are zero; crc32c.sv without the data.
// Combinational, exact. A linear function of the state: 32 x 32 bits.
module crc32c_zeros #(
  parameter int unsigned Bytes  // 4 or more
) (
  input  logic [31:0] state_i,
  output logic [31:0] state_o
);

  localparam int unsigned Bits = 8 * Bytes;
  localparam logic [31:0] Polynomial = 32'h82f63b78;

  typedef logic [31:0][31:0] rows_t;

  // Row r tells which bits of the state bit r of the new state looks at. The lowest bit falls out first, `Bits` steps before
  // the end; a bit n places above falls out n steps later.
  function automatic rows_t rows();
    logic [31:0] residue = Polynomial;
    for (int unsigned k = 1; k <= Bits; k++) begin
      if (k + 32 > Bits) begin
        for (int unsigned r = 0; r < 32; r++) rows[r][5'(Bits-k)] = residue[r];
      end
      residue = {1'b0, residue[31:1]} ^ (residue[0] ? Polynomial : 32'd0);
    end
  endfunction

  localparam rows_t Rows = rows();

  for (genvar r = 0; r < 32; r++) begin : gen_row
    assign state_o[r] = ^(state_i & Rows[r]);
  end

endmodule : crc32c_zeros
