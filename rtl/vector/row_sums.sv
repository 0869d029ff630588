// SPDX-License-Identifier: Apache-2.0
// Sums of squares of up to VectorUnits units (rows, or heads of rows), and the scales that follow from them:
// 1 / sqrt(sum x mean + eps). A word of squares a cycle; group g of a unit goes to its partial sum g mod PartialSums, lane by
// lane. A reduction adds partial sum p + 4 to p, then p + 2, then p + 1, then lane l + 8 to l, and so on, the units one behind
// the other through the same GroupFloats adders: 49 cycles from reduce_i to scales_o for 1 unit, 103 for 8.
`include "tandem_assert.svh"

module row_sums
  import tandem_pkg::*;
(
  input  logic                                         clk_i,
  input  logic                                         rst_ni,
  input  logic                                         clear_i,   // all sums are +0
  input  vector_word_t                                 word_i,
  input  float_t       [GroupFloats-1:0]               square_i,
  input  logic                                         reduce_i,
  input  logic         [$clog2(VectorUnits+1)-1:0]     units_i,   // these are reduced: 0 .. units_i - 1
  input  logic         [31:0]                          mean_i,    // binary32, with reduce_i
  input  logic         [31:0]                          eps_i,
  output logic                                         busy_o,
  output float_t       [VectorUnits-1:0]               scales_o
);

  localparam int unsigned UnitBits    = $clog2(VectorUnits);
  localparam int unsigned PartialBits = $clog2(PartialSums);
  localparam int unsigned Depth       = VectorUnits * PartialSums;

  // Steps 0 to 2 fold the partial sums, steps 3 to 6 the lanes.
  localparam logic [2:0] FirstFold = 3'd3;
  localparam logic [2:0] LastFold  = 3'd6;
  localparam int unsigned ScaleStages = ProductLatency + FloatLatency + FunctionLatency;

  typedef struct packed {
    logic [UnitBits-1:0]    unit;
    logic [PartialBits-1:0] partial;
  } address_t;

  // What is in the adders.
  typedef struct packed {
    logic     valid;
    logic     last;     // the sum of lane 0 is the unit's
    address_t address;
  } sum_tag_t;

  typedef struct packed {
    logic                valid;
    logic [UnitBits-1:0] unit;
  } scale_tag_t;

  logic       [Depth-1:0]       present_d, present_q;  // has been written since the last clear
  sum_tag_t                     tag_d, tag_q[FloatLatency];
  scale_tag_t                   scale_tag_d, scale_tag_q[ScaleStages];
  logic                         active_d, active_q;    // sums of a reduction are still to be begun
  logic       [2:0]             step_d, step_q;
  logic       [UnitBits-1:0]    unit_d, unit_q;
  logic       [PartialBits-1:0] partial_d, partial_q;
  logic       [UnitBits-1:0]    last_unit_d, last_unit_q;
  logic       [31:0]            mean_d, mean_q, eps_d, eps_q;
  float_t     [VectorUnits-1:0] scales_d, scales_q;

  float_t [GroupFloats-1:0] stored, other, folded, total;
  float_t                   product, mean_square, scale;
  logic   [GroupFloats+1:0] unused_saturated;
  logic                     unused_word;

  // ---- what is added ----
  address_t         own, partner;
  logic [Depth-1:0] coming;  // these are in the adders: a sum is read in the cycle after it is written
  logic             enter;
  always_comb begin
    coming = '0;
    for (int unsigned i = 0; i < FloatLatency; i++) begin
      if (tag_q[i].valid) coming[tag_q[i].address] = 1'b1;
    end
  end

  always_comb begin
    own     = '{unit: word_i.unit, partial: word_i.group[PartialBits-1:0]};
    partner = '{unit: unit_q, partial: partial_q + (PartialBits'(PartialSums / 2) >> step_q)};
    if (active_q) own = '{unit: unit_q, partial: partial_q};
    enter = active_q ? !coming[own] && (step_q >= FirstFold || !coming[partner]) : word_i.valid;

    tag_d = '0;
    if (enter) tag_d = '{valid: 1'b1, last: active_q && step_q == LastFold, address: own};
  end
  assign unused_word = ^{word_i.hi, word_i.hold, word_i.group[15:PartialBits]};

  // Upper lanes onto lower ones.
  always_comb begin
    folded = '0;
    unique case (step_q)
      3'd3: folded[7:0] = stored[15:8];
      3'd4: folded[3:0] = stored[7:4];
      3'd5: folded[1:0] = stored[3:2];
      3'd6: folded[0] = stored[1];
      default: ;
    endcase
  end

  for (genvar l = 0; l < GroupFloats; l++) begin : gen_lane
    float_t total_q[Depth];
    float_t a, b;

    assign stored[l] = present_q[own] ? total_q[own] : '0;
    assign other[l]  = present_q[partner] ? total_q[partner] : '0;

    always_comb begin
      a = '0;
      b = '0;
      if (enter) begin
        a = stored[l];
        if (!active_q) b = square_i[l];
        else if (step_q < FirstFold) b = other[l];
        else b = folded[l];
      end
    end

    float_add u_add (
      .clk_i,
      .rst_ni,
      .a_i        (a),
      .b_i        (b),
      .sum_o      (total[l]),
      .saturated_o(unused_saturated[l])
    );

    always_ff @(posedge clk_i) begin
      if (tag_q[FloatLatency-1].valid && rst_ni) total_q[tag_q[FloatLatency-1].address] <= total[l];
    end
  end

  // ---- from sums to scales ----
  always_comb begin
    scale_tag_d.valid = tag_q[FloatLatency-1].valid && tag_q[FloatLatency-1].last;
    scale_tag_d.unit  = scale_tag_d.valid ? tag_q[FloatLatency-1].address.unit : '0;
  end

  float_multiply #(
    .CodeBits(ExponentBits),
    .Bias    (ExponentBias),
    .Most    (2 ** ExponentBits - 1)
  ) u_product (
    .clk_i,
    .rst_ni,
    .a_i        (scale_tag_d.valid ? total[0] : '0),
    .b_i        (widen(mean_q)),
    .product_o  (product),
    .saturated_o(unused_saturated[GroupFloats])
  );

  float_add u_eps (
    .clk_i,
    .rst_ni,
    .a_i        (product),
    .b_i        (widen(eps_q)),
    .sum_o      (mean_square),
    .saturated_o(unused_saturated[GroupFloats+1])
  );

  float_function u_root (
    .clk_i,
    .rst_ni,
    .function_i(FunctionRoot),
    .value_i   (mean_square),
    .result_o  (scale)
  );

  // ---- registers ----
  logic reducing;
  always_comb begin
    reducing = active_q;
    for (int unsigned i = 0; i < FloatLatency; i++) reducing |= tag_q[i].last;
    for (int unsigned i = 0; i < ScaleStages; i++) reducing |= scale_tag_q[i].valid;
  end

  always_comb begin
    present_d   = present_q;
    active_d    = active_q;
    step_d      = step_q;
    unit_d      = unit_q;
    partial_d   = partial_q;
    last_unit_d = last_unit_q;
    mean_d      = mean_q;
    eps_d       = eps_q;
    scales_d    = scales_q;

    if (tag_q[FloatLatency-1].valid) present_d[tag_q[FloatLatency-1].address] = 1'b1;
    if (clear_i) present_d = '0;

    if (active_q && enter) begin
      partial_d = partial_q + 1'b1;
      if (partial_q == PartialBits'(PartialSums / 2 - 1) >> step_q) begin
        partial_d = '0;
        unit_d    = unit_q + 1'b1;
        if (unit_q == last_unit_q) begin
          unit_d   = '0;
          step_d   = step_q == LastFold ? '0 : step_q + 3'd1;
          active_d = step_q != LastFold;
        end
      end
    end
    if (reduce_i) begin
      active_d    = 1'b1;
      last_unit_d = UnitBits'(units_i - 1'b1);
      mean_d      = mean_i;
      eps_d       = eps_i;
    end
    if (scale_tag_q[ScaleStages-1].valid) scales_d[scale_tag_q[ScaleStages-1].unit] = scale;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      present_q   <= '0;
      active_q    <= '0;
      step_q      <= '0;
      unit_q      <= '0;
      partial_q   <= '0;
      last_unit_q <= '0;
      mean_q      <= '0;
      eps_q       <= '0;
      scales_q    <= '0;
      for (int unsigned i = 0; i < FloatLatency; i++) tag_q[i] <= '0;
      for (int unsigned i = 0; i < ScaleStages; i++) scale_tag_q[i] <= '0;
    end else begin
      present_q      <= present_d;
      active_q       <= active_d;
      step_q         <= step_d;
      unit_q         <= unit_d;
      partial_q      <= partial_d;
      last_unit_q    <= last_unit_d;
      mean_q         <= mean_d;
      eps_q          <= eps_d;
      scales_q       <= scales_d;
      tag_q[0]       <= tag_d;
      scale_tag_q[0] <= scale_tag_d;
      for (int unsigned i = 1; i < FloatLatency; i++) tag_q[i] <= tag_q[i-1];
      for (int unsigned i = 1; i < ScaleStages; i++) scale_tag_q[i] <= scale_tag_q[i-1];
    end
  end

  assign busy_o   = coming != '0 || reducing;
  assign scales_o = scales_q;

  // A partial sum is not addressed again before it is written, and no words come in a reduction.
  `TANDEM_INVARIANT(INV_SUMS_1, !word_i.valid ||
                    (!active_q && !coming[{word_i.unit, word_i.group[PartialBits-1:0]}]))
  // One reduction at a time, of 1 to VectorUnits units.
  `TANDEM_INVARIANT(INV_SUMS_2, !reduce_i ||
                    (!reducing && units_i != '0 && units_i <= ($bits(units_i))'(VectorUnits)))
  // Nothing is on its way to what is cleared.
  `TANDEM_INVARIANT(INV_SUMS_3, !clear_i || (!busy_o && !word_i.valid && !reduce_i))

endmodule : row_sums
