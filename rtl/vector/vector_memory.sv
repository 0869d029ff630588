// SPDX-License-Identifier: Apache-2.0
// Small memories of the vector unit, in columns of eight bytes: a chunk of weights or of first operands, a batch of heads, the
// angles of the rows. Reads are combinational. Angles that were not written since reset are read as 0.
`include "tandem_assert.svh"

module vector_memory
  import tandem_pkg::*;
#(
  localparam int unsigned Columns    = AxiBytes / 8,
  localparam int unsigned ChunkWords = 16,
  localparam int unsigned BatchWords = VectorUnits * HeadWords,
  localparam int unsigned AngleWords = VectorUnits * HeadWords / 2
) (
  input  logic                     clk_i,
  input  logic                     rst_ni,
  input  logic [AxiBytes-1:0][7:0] data_i,           // to be written
  input  logic                     chunk_write_i,
  input  logic               [3:0] chunk_address_i,
  output logic [AxiBytes-1:0][7:0] chunk_o,
  input  logic                     batch_write_i,
  input  logic               [5:0] batch_address_i,  // {unit, word}
  output logic [AxiBytes-1:0][7:0] batch_o,
  input  logic                     cosines_write_i,
  input  logic                     sines_write_i,
  input  logic               [4:0] angles_address_i, // {row, word}
  output logic [AxiBytes-1:0][7:0] cosines_o,
  output logic [AxiBytes-1:0][7:0] sines_o
);

  logic [AngleWords-1:0] known_d, known_q;  // angles that were written

  logic [Columns-1:0][63:0] columns, chunk, batch, cosines, sines;
  assign columns = data_i;

  for (genvar c = 0; c < Columns; c++) begin : gen_column
    logic [63:0] chunk_q[ChunkWords];
    logic [63:0] batch_q[BatchWords];
    logic [63:0] cosines_q[AngleWords];
    logic [63:0] sines_q[AngleWords];
    always_ff @(posedge clk_i) begin
      if (chunk_write_i && rst_ni) chunk_q[chunk_address_i] <= columns[c];
    end
    always_ff @(posedge clk_i) begin
      if (batch_write_i && rst_ni) batch_q[batch_address_i] <= columns[c];
    end
    always_ff @(posedge clk_i) begin
      if (cosines_write_i && rst_ni) cosines_q[angles_address_i] <= columns[c];
    end
    always_ff @(posedge clk_i) begin
      if (sines_write_i && rst_ni) sines_q[angles_address_i] <= columns[c];
    end
    assign chunk[c]   = chunk_q[chunk_address_i];
    assign batch[c]   = batch_q[batch_address_i];
    assign cosines[c] = cosines_q[angles_address_i];
    assign sines[c]   = sines_q[angles_address_i];
  end

  // Sines come last.
  always_comb begin
    known_d = known_q;
    if (cosines_write_i) known_d[angles_address_i] = 1'b0;
    if (sines_write_i) known_d[angles_address_i] = 1'b1;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) known_q <= '0;
    else known_q <= known_d;
  end

  assign chunk_o   = chunk;
  assign batch_o   = batch;
  assign cosines_o = known_q[angles_address_i] ? cosines : '0;
  assign sines_o   = known_q[angles_address_i] ? sines : '0;

  `TANDEM_INVARIANT(INV_VMEMORY_1, !(cosines_write_i && sines_write_i))

endmodule : vector_memory
