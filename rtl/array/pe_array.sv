// SPDX-License-Identifier: Apache-2.0
// Rows x Segments grid of PE segments with the skew that feeds it.
//
// A beat that enters in cycle n reaches lane c of segment s in row r in cycle n + 1 + c + 2 * FloatLatency * s + r.
// p_i[r][s] belongs to the beat that entered r + 2 * FloatLatency * s cycles before. The array never stalls.
module pe_array
  import tandem_pkg::*;
#(
  parameter int unsigned Rows,
  parameter int unsigned Segments
) (
  input  logic                                               clk_i,
  input  logic                                               rst_ni,
  input  pe_tag_t                                            tag_i,
  input  logic                                               int8_i,
  input  logic        [Segments-1:0][SegmentLanes-1:0][7:0]  elements_i,
  input  lane_byte_t  [Rows-1:0][Segments-1:0]               p_i,
  output drained_t    [Rows-1:0][Segments-1:0]               drained_o,
  output scale_load_t [Rows-1:0][Segments-1:0]               scale_load_o
);

  for (genvar s = 0; s < Segments; s++) begin : gen_segment
    localparam int unsigned Skew = 1 + 2 * FloatLatency * s;

    operand_t [Rows:0][SegmentLanes-1:0] operand;
    pe_tag_t  [Rows-1:0]                 tag;
    pe_tag_t                             tag_first;

    for (genvar c = 0; c < SegmentLanes; c++) begin : gen_skew
      operand_t decoded;
      operand_decode u_decode (
        .int8_i,
        .byte_i   (elements_i[s][c]),
        .operand_o(decoded)
      );
      delay_line #(
        .Width($bits(operand_t)),
        .Depth(Skew + c)
      ) u_skew (
        .clk_i,
        .rst_ni,
        .data_i(decoded),
        .data_o(operand[0][c])
      );
    end

    if (s == 0) begin : gen_tag_now
      assign tag_first = tag_i;
    end else begin : gen_tag_late
      delay_line #(
        .Width($bits(pe_tag_t)),
        .Depth(Skew - 1)
      ) u_tag (
        .clk_i,
        .rst_ni,
        .data_i(tag_i),
        .data_o(tag_first)
      );
    end
    tap_line #(
      .Width($bits(pe_tag_t)),
      .Taps (Rows)
    ) u_tag_rows (
      .clk_i,
      .rst_ni,
      .data_i(tag_first),
      .taps_o(tag)
    );

    lane_byte_t p_q[Rows];
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        for (int unsigned r = 0; r < Rows; r++) p_q[r] <= '0;
      end else begin
        for (int unsigned r = 0; r < Rows; r++) p_q[r] <= p_i[r][s];
      end
    end

    for (genvar r = 0; r < Rows; r++) begin : gen_row
      pe_segment u_pe_segment (
        .clk_i,
        .rst_ni,
        .operand_i   (operand[r]),
        .tag_i       (tag[r]),
        .p_i         (p_q[r]),
        .operand_o   (operand[r+1]),
        .drained_o   (drained_o[r][s]),
        .scale_load_o(scale_load_o[r][s])
      );
    end

    // Below the last row there is nothing.
    operand_t [SegmentLanes-1:0] unused_operand;
    assign unused_operand = operand[Rows];
  end

endmodule : pe_array
