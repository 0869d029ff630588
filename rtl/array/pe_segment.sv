// SPDX-License-Identifier: Apache-2.0
// Segment of one row: 32 PEs in a chain and their drain. Lane c works one cycle after lane c - 1.
//
// A load whose count is 32 passes every lane and leaves at the right as the scale of the stationary operand.
`include "tandem_assert.svh"

module pe_segment
  import tandem_pkg::*;
(
  input  logic                        clk_i,
  input  logic                        rst_ni,
  input  operand_t [SegmentLanes-1:0] operand_i,
  input  pe_tag_t                     tag_i,
  input  lane_byte_t                  p_i,
  output operand_t [SegmentLanes-1:0] operand_o,
  output drained_t                    drained_o,
  output scale_load_t                 scale_load_o
);

  pe_tag_t    [SegmentLanes-1:0] tag;
  lane_byte_t [SegmentLanes-1:0] p;
  psum_t      [SegmentLanes-1:0] psum;

  for (genvar c = 0; c < SegmentLanes; c++) begin : gen_lane
    if (c == 0) begin : gen_first
      pe u_pe (
        .clk_i,
        .rst_ni,
        .operand_i(operand_i[c]),
        .tag_i,
        .p_i,
        .psum_i   ('0),
        .operand_o(operand_o[c]),
        .tag_o    (tag[c]),
        .p_o      (p[c]),
        .psum_o   (psum[c])
      );
    end else begin : gen_next
      pe u_pe (
        .clk_i,
        .rst_ni,
        .operand_i(operand_i[c]),
        .tag_i    (tag[c-1]),
        .p_i      (p[c-1]),
        .psum_i   (psum[c-1]),
        .operand_o(operand_o[c]),
        .tag_o    (tag[c]),
        .p_o      (p[c]),
        .psum_o   (psum[c])
      );
    end
  end

  drain u_drain (
    .clk_i,
    .rst_ni,
    .tag_i  (tag),
    .psum_i (psum),
    .drained_o
  );

  assign scale_load_o.valid = tag[SegmentLanes-1].load;
  assign scale_load_o.bank  = tag[SegmentLanes-1].load_bank;
  assign scale_load_o.scale = p[SegmentLanes-1];

  `TANDEM_INVARIANT(INV_SEGMENT_1,
                    !tag[SegmentLanes-1].load || tag[SegmentLanes-1].load_count == '0)

endmodule : pe_segment
