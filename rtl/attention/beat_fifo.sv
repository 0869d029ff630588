// SPDX-License-Identifier: Apache-2.0
// Beats between the banks and the array. Tags leave when a beat is issued; its scales and elements stay until they
// are read, by index, some cycles later. Who pushes keeps count of the room.
`include "tandem_assert.svh"

module beat_fifo
  import tandem_pkg::*;
#(
  parameter int unsigned Segments,
  localparam int unsigned Columns   = Segments * SegmentLanes / 8,
  localparam int unsigned IndexBits = $clog2(BeatFifoDepth)
) (
  input  logic                                         clk_i,
  input  logic                                         rst_ni,
  input  word_tag_t                                    tag_i,       // pushed when valid
  input  lane_byte_t [Segments-1:0]                    scales_i,
  input  logic       [Segments-1:0][SegmentLanes-1:0][7:0] elements_i,
  input  logic                                         pop_i,
  output word_tag_t                                    head_tag_o,  // valid: there is a beat
  output logic       [IndexBits-1:0]                   head_index_o,
  input  logic       [IndexBits-1:0]                   read_index_i,
  output lane_byte_t [Segments-1:0]                    scales_o,
  output logic       [Segments-1:0][SegmentLanes-1:0][7:0] elements_o
);

  logic [IndexBits-1:0] push_d, push_q, pop_d, pop_q;
  logic [IndexBits:0]   count_d, count_q;
  word_tag_t            tag_q[BeatFifoDepth];
  lane_byte_t [Segments-1:0] scales_q[BeatFifoDepth];

  always_comb begin
    push_d  = push_q + IndexBits'(tag_i.valid);
    pop_d   = pop_q + IndexBits'(pop_i);
    count_d = count_q + (IndexBits + 1)'(tag_i.valid) - (IndexBits + 1)'(pop_i);
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      push_q  <= '0;
      pop_q   <= '0;
      count_q <= '0;
    end else begin
      push_q  <= push_d;
      pop_q   <= pop_d;
      count_q <= count_d;
    end
  end

  always_ff @(posedge clk_i) begin
    if (tag_i.valid && rst_ni) begin
      tag_q[push_q]    <= tag_i;
      scales_q[push_q] <= scales_i;
    end
  end

  // Elements in columns of eight bytes.
  logic [Columns-1:0][63:0] columns_in, columns_out;
  assign columns_in = elements_i;
  assign elements_o = columns_out;

  for (genvar c = 0; c < Columns; c++) begin : gen_column
    logic [63:0] elements_q[BeatFifoDepth];
    always_ff @(posedge clk_i) begin
      if (tag_i.valid && rst_ni) elements_q[push_q] <= columns_in[c];
    end
    assign columns_out[c] = elements_q[read_index_i];
  end

  always_comb begin
    head_tag_o       = tag_q[pop_q];
    head_tag_o.valid = count_q != '0;
  end
  assign head_index_o = pop_q;
  assign scales_o     = scales_q[read_index_i];

  `TANDEM_INVARIANT(INV_FIFO_1, !(tag_i.valid && count_q == (IndexBits + 1)'(BeatFifoDepth)))
  `TANDEM_INVARIANT(INV_FIFO_2, !(pop_i && count_q == '0))

endmodule : beat_fifo
