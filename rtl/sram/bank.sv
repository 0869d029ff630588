// SPDX-License-Identifier: Apache-2.0
// Single-ported memory of words of `Columns` SECDED codewords: one read or one write per cycle. What was read is there
// a cycle later and stays until the next read. Reset does not touch the memory, it only keeps writes out: a word holds
// nothing defined before its first write.
`include "tandem_assert.svh"

module bank #(
  parameter int unsigned Depth,
  parameter int unsigned Columns,
  localparam int unsigned AddressBits = $clog2(Depth)
) (
  input  logic                     clk_i,
  input  logic                     rst_ni,
  input  logic                     read_i,
  input  logic                     write_i,
  input  logic [AddressBits-1:0]   address_i,
  input  logic [Columns-1:0][63:0] data_i,
  input  logic [Columns-1:0] [7:0] check_i,
  output logic [Columns-1:0][63:0] read_data_o,
  output logic [Columns-1:0] [7:0] read_check_o
);

  for (genvar c = 0; c < Columns; c++) begin : gen_column
    logic [63:0] data_q [Depth];
    logic  [7:0] check_q[Depth];
    logic [63:0] read_data_d, read_data_q;
    logic  [7:0] read_check_d, read_check_q;

    always_ff @(posedge clk_i) begin
      if (write_i && rst_ni) begin
        data_q[address_i]  <= data_i[c];
        check_q[address_i] <= check_i[c];
      end
    end

    always_comb begin
      read_data_d  = read_data_q;
      read_check_d = read_check_q;
      if (read_i) begin
        read_data_d  = data_q[address_i];
        read_check_d = check_q[address_i];
      end
    end

    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        read_data_q  <= '0;
        read_check_q <= '0;
      end else begin
        read_data_q  <= read_data_d;
        read_check_q <= read_check_d;
      end
    end

    assign read_data_o[c]  = read_data_q;
    assign read_check_o[c] = read_check_q;
  end

  // There is one port.
  `TANDEM_INVARIANT(INV_BANK_1, !(read_i && write_i))

endmodule : bank
