// SPDX-License-Identifier: Apache-2.0
// One lane of the vector unit: a feature of a word in every cycle, each product and sum rounded once. y_o comes 1 (Copy),
// 4 (Add, Scale), 11 (Rotate) or 18 (Gate) cycles behind its operands, square_o two behind y_o (Copy, Add).
//
// There is no valid bit: who drives the lane keeps the operands at 0 when there is no feature. op_i does not change while
// something is in flight; hi_i is the second of a rotated pair, in the cycle behind the first.
module vector_lane
  import tandem_pkg::*;
(
  input  logic            clk_i,
  input  logic            rst_ni,
  input  lane_op_e        op_i,
  input  logic            hi_i,
  input  logic     [31:0] a_i,
  input  logic     [31:0] b_i,
  input  logic     [31:0] cos_i,
  input  logic     [31:0] sin_i,
  input  float_t          scale_i,
  output float_t          y_o,
  output float_t          square_o
);

  localparam logic [31:0] MinusLog2E = 32'hbfb8_aa3b;

  // Cycles behind the operands: z beside the z before it; its products with cosine and sine; the quotient of a gate.
  localparam int unsigned Turned   = 2 * ProductLatency + 1;
  localparam int unsigned Products = Turned + ProductLatency;
  localparam int unsigned Quotient = ProductLatency + 2 * FunctionLatency + FloatLatency;

  function automatic float_t negated(input float_t value);
    return value.exponent == '0 ? '0 : {!value.sign, value.exponent, value.fraction};
  endfunction

  lane_op_e               op_q;
  float_t                 copy_d, copy_q;
  logic [Products-1:0]    hi_d, hi_q;                       // stage by stage
  logic            [31:0] b_d, b_q[ProductLatency];
  float_t                 z_d, z_q[2];                      // the last z, and the one before it
  logic            [63:0] late_d;                           // {sin, cos} or {b, a}
  logic [Quotient-1:0][63:0] late;

  // Operands and results of the units.
  float_t first_a, first_b, first, second_a, second_b, second;
  float_t third_a, third_b, third, fourth_a, fourth_b, fourth;
  float_t add_a, add_b, total, exponent, powered, base, quotient;
  float_t y;
  logic [4:0] unused_saturated;

  always_comb begin
    copy_d   = '0;
    hi_d     = hi_q << 1;
    b_d      = '0;
    z_d      = '0;
    late_d   = '0;
    first_a  = '0;
    first_b  = '0;
    second_a = '0;
    second_b = '0;
    third_a  = '0;
    third_b  = '0;
    fourth_a = '0;
    fourth_b = '0;
    add_a    = '0;
    add_b    = '0;
    exponent = '0;
    base     = '0;
    // What an operation does not use is kept at 0.
    unique case (op_i)
      LaneCopy: begin
        copy_d   = widen(a_i);
        fourth_a = y;
        fourth_b = y;
      end
      LaneAdd: begin
        add_a    = widen(a_i);
        add_b    = widen(b_i);
        fourth_a = y;
        fourth_b = y;
      end
      LaneScale: begin
        first_a  = widen(a_i);
        first_b  = scale_i;
        b_d      = b_i;
        second_a = first;
        second_b = widen(b_q[ProductLatency-1]);
      end
      LaneRotate: begin
        // z as above. In the cycle in which z_q[0] is a pair's lo, its hi is `second`; in the next one z_q[0] is hi and
        // z_q[1] is lo.
        first_a  = widen(a_i);
        first_b  = scale_i;
        b_d      = b_i;
        second_a = first;
        second_b = widen(b_q[ProductLatency-1]);
        z_d      = second;
        hi_d[0]  = hi_i;
        late_d   = {sin_i, cos_i};
        third_a  = z_q[0];
        third_b  = widen(late[Turned-1][31:0]);
        fourth_a = hi_q[Turned-1] ? z_q[1] : second;
        fourth_b = widen(late[Turned-1][63:32]);
        add_a    = third;
        add_b    = hi_q[Products-1] ? fourth : negated(fourth);
      end
      LaneGate: begin
        first_a  = widen(a_i);
        first_b  = widen(MinusLog2E);
        exponent = first;
        add_a    = powered;
        add_b    = widen(32'h3f80_0000);
        base     = total;
        late_d   = {b_i, a_i};
        second_a = widen(late[Quotient-1][31:0]);
        second_b = quotient;
        b_d      = late[Quotient-1][63:32];
        third_a  = second;
        third_b  = widen(b_q[ProductLatency-1]);
      end
      default: ;
    endcase
  end

  float_multiply #(
    .CodeBits(ExponentBits),
    .Bias    (ExponentBias),
    .Most    (2 ** ExponentBits - 1)
  ) u_first (
    .clk_i,
    .rst_ni,
    .a_i        (first_a),
    .b_i        (first_b),
    .product_o  (first),
    .saturated_o(unused_saturated[0])
  );

  float_multiply #(
    .CodeBits(ExponentBits),
    .Bias    (ExponentBias),
    .Most    (2 ** ExponentBits - 1)
  ) u_second (
    .clk_i,
    .rst_ni,
    .a_i        (second_a),
    .b_i        (second_b),
    .product_o  (second),
    .saturated_o(unused_saturated[1])
  );

  float_multiply #(
    .CodeBits(ExponentBits),
    .Bias    (ExponentBias),
    .Most    (2 ** ExponentBits - 1)
  ) u_third (
    .clk_i,
    .rst_ni,
    .a_i        (third_a),
    .b_i        (third_b),
    .product_o  (third),
    .saturated_o(unused_saturated[2])
  );

  float_multiply #(
    .CodeBits(ExponentBits),
    .Bias    (ExponentBias),
    .Most    (2 ** ExponentBits - 1)
  ) u_fourth (
    .clk_i,
    .rst_ni,
    .a_i        (fourth_a),
    .b_i        (fourth_b),
    .product_o  (fourth),
    .saturated_o(unused_saturated[3])
  );

  float_add u_add (
    .clk_i,
    .rst_ni,
    .a_i        (add_a),
    .b_i        (add_b),
    .sum_o      (total),
    .saturated_o(unused_saturated[4])
  );

  float_function u_power (
    .clk_i,
    .rst_ni,
    .function_i(FunctionPower),
    .value_i   (exponent),
    .result_o  (powered)
  );

  float_function u_reciprocal (
    .clk_i,
    .rst_ni,
    .function_i(FunctionReciprocal),
    .value_i   (base),
    .result_o  (quotient)
  );

  tap_line #(
    .Width(64),
    .Taps (Quotient)
  ) u_late (
    .clk_i,
    .rst_ni,
    .data_i(late_d),
    .taps_o(late)
  );

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      op_q   <= LaneCopy;
      copy_q <= '0;
      hi_q   <= '0;
      z_q[0] <= '0;
      z_q[1] <= '0;
      for (int unsigned i = 0; i < ProductLatency; i++) b_q[i] <= '0;
    end else begin
      op_q   <= op_i;
      copy_q <= copy_d;
      hi_q   <= hi_d;
      z_q[0] <= z_d;
      z_q[1] <= z_q[0];
      b_q[0] <= b_d;
      for (int unsigned i = 1; i < ProductLatency; i++) b_q[i] <= b_q[i-1];
    end
  end

  always_comb begin
    unique case (op_q)
      LaneCopy:           y = copy_q;
      LaneAdd, LaneRotate: y = total;
      LaneScale:          y = second;
      LaneGate:           y = third;
      default:            y = '0;
    endcase
  end

  assign y_o      = y;
  assign square_o = fourth;

endmodule : vector_lane
