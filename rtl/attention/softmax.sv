// SPDX-License-Identifier: Apache-2.0
// Softmax of one row and segment, short of the division: scores in, p out (docs/numerics.md, "Softmax").
//
// A score that enters in cycle c can be fed from cycle c + Exp2Latency + 1 = c + 4 on. Fed in cycle t, its p is on
// p_o in cycle t + FeedLatency = t + 3. One score and one beat a cycle. The stationary operands lie here too: a
// load puts one on p_o as a beat puts p.
module softmax
  import tandem_pkg::*;
#(
  parameter int unsigned Segments,
  localparam int unsigned Blocks = 2 * chain_parts(Segments)
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,
  input  float_t                 score_i,
  input  score_tag_t             score_tag_i,
  input  logic                   visible_i,
  input  logic [Blocks-1:0][7:0] scales_i,         // E8M0 of the token's V blocks in this segment
  input  feed_tag_t              feed_tag_i,
  input  lane_byte_t             feed_scale_i,     // E8M0 of the beat's V blocks, {hi, lo}
  input  operand_block_t         block_i,          // of this row and segment
  input  logic [SegmentLanes-1:0][7:0] block_data_i,
  input  logic                   clear_flags_i,
  output lane_byte_t             p_o,
  output logic       [1:0][11:0] tile_exponent_o,
  output tile_sum_t              tile_sum_o,
  output softmax_flags_t         flags_o
);

  // ---- weights ----
  weight_t                weight;
  score_tag_t             weight_tag;
  logic [Blocks-1:0][7:0] weight_scales;
  logic                   visible, clamped;
  logic signed [ScoreExponentBits-1:0] power_exponent;
  logic        [MantissaBits-1:0]      power_mantissa;

  exp2 u_exp2 (
    .clk_i,
    .rst_ni,
    .score_i,
    .exponent_o(power_exponent),
    .mantissa_o(power_mantissa),
    .clamped_o (clamped)
  );
  delay_line #(
    .Width($bits(score_tag_t)),
    .Depth(Exp2Latency)
  ) u_tag (
    .clk_i,
    .rst_ni,
    .data_i(score_tag_i),
    .data_o(weight_tag)
  );
  delay_line #(
    .Width(1),
    .Depth(Exp2Latency)
  ) u_visible (
    .clk_i,
    .rst_ni,
    .data_i(visible_i),
    .data_o(visible)
  );
  for (genvar k = 0; k < Blocks; k++) begin : gen_block
    delay_line #(
      .Width(8),
      .Depth(Exp2Latency)
    ) u_scale (
      .clk_i,
      .rst_ni,
      .data_i(scales_i[k]),
      .data_o(weight_scales[k])
    );
  end

  assign weight = visible ? {1'b1, power_exponent, power_mantissa} : '0;

  // ---- p ----
  logic [6:0] load_chunk;
  logic [5:0] load_count;
  lane_byte_t operand;
  logic       nan_scale;

  p_quantiser #(
    .Segments(Segments)
  ) u_quantiser (
    .clk_i,
    .rst_ni,
    .weight_i       (weight),
    .score_tag_i    (weight_tag),
    .scales_i       (weight_scales),
    .feed_tag_i,
    .feed_scale_i,
    .load_chunk_o   (load_chunk),
    .load_count_o   (load_count),
    .operand_i      (operand),
    .p_o,
    .tile_exponent_o,
    .tile_sum_o,
    .clear_flags_i,
    .nan_scale_o    (nan_scale)
  );
  operand_file u_operands (
    .clk_i,
    .rst_ni,
    .block_i,
    .block_data_i,
    .load_chunk_i(load_chunk),
    .load_count_i(load_count),
    .operand_o   (operand)
  );

  // ---- flags ----
  logic clamped_d, clamped_q;
  always_comb begin
    clamped_d = clamped_q && !clear_flags_i;
    if (weight_tag.valid && visible && clamped) clamped_d = 1'b1;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) clamped_q <= '0;
    else clamped_q <= clamped_d;
  end

  assign flags_o.clamped   = clamped_q;
  assign flags_o.nan_scale = nan_scale;

endmodule : softmax
