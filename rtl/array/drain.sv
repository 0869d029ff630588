// SPDX-License-Identifier: Apache-2.0
// Drain of one segment of one row: an AND-OR bus per chain from the lanes to the edge. One cycle, one sum a cycle.
//
// In PV every lane drives it in the cycle after its own last beat; in GEMV and QK lane 31 drives it with the sum of
// the whole segment. INV-DRAIN-1: at most one lane drives.
`include "tandem_assert.svh"

module drain
  import tandem_pkg::*;
(
  input  logic                         clk_i,
  input  logic                         rst_ni,
  input  pe_tag_t [SegmentLanes-1:0]   tag_i,
  input  psum_t   [SegmentLanes-1:0]   psum_i,
  output drained_t                     drained_o
);

  drained_t                drained_d, drained_q;
  logic [SegmentLanes-1:0] drive;
  logic                    row_sum;

  always_comb begin
    row_sum = tag_i[SegmentLanes-1].mode == ModeGemv || tag_i[SegmentLanes-1].mode == ModeQk;
    for (int unsigned c = 0; c < SegmentLanes; c++) begin
      drive[c] = tag_i[c].mode == ModePv && tag_i[c].last;
    end
    drained_d         = '0;
    drained_d.block_sum = |drive;
    drained_d.row_sum   = row_sum;
    drive[SegmentLanes-1] |= row_sum;
    for (int unsigned c = 0; c < SegmentLanes; c++) begin
      drained_d.psum  |= psum_i[c] & {36{drive[c]}};
      drained_d.lane |= 5'(c) & {5{drive[c]}};
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) drained_q <= '0;
    else drained_q <= drained_d;
  end

  assign drained_o = drained_q;

  `TANDEM_INVARIANT(INV_DRAIN_1, $onehot0(drive) && !(drained_d.block_sum && row_sum))

endmodule : drain
