// SPDX-License-Identifier: Apache-2.0
// Float adder: sum of two floats, rounded once to nearest even (docs/numerics.md, "The float").
// Latency FloatLatency = 4 cycles, one addition a cycle. `saturated_o` goes with the sum it belongs to.
// The four steps are the four functions of model/src/numerics/float36.rs, `add`.
module float_add
  import tandem_pkg::*;
(
  input  logic   clk_i,
  input  logic   rst_ni,
  input  float_t a_i,
  input  float_t b_i,
  output float_t sum_o,
  output logic   saturated_o
);

  localparam int unsigned SigBits   = FractionBits + 1;  // with the hidden bit
  localparam int unsigned AlignBits = SigBits + 3;       // guard, round, sticky
  localparam int unsigned MaxShift  = AlignBits;         // everything shifted out
  localparam int unsigned SumBits   = AlignBits + 1;     // carry

  typedef struct packed {
    logic                    negative;
    logic                    subtract;
    logic [ExponentBits-1:0] exponent;
    logic [4:0]              shift;
  } ordered_t;

  typedef struct packed {
    logic                    negative;
    logic                    subtract;
    logic [ExponentBits-1:0] exponent;
  } aligned_t;

  typedef struct packed {
    logic                    negative;
    logic [ExponentBits-1:0] exponent;
    logic [SumBits-1:0]      total;
    logic [4:0]              zeros;
  } summed_t;

  typedef struct packed {
    logic   saturated;
    float_t value;
  } rounded_t;

  ordered_t             ordered_d, ordered_q;
  logic [SigBits-1:0]   ordered_larger_d, ordered_larger_q, ordered_smaller_d, ordered_smaller_q;
  aligned_t             aligned_d, aligned_q;
  logic [AlignBits-1:0] aligned_larger_d, aligned_larger_q, aligned_smaller_d, aligned_smaller_q;
  summed_t  summed_d, summed_q;
  rounded_t rounded_d, rounded_q;

  // Step 1: order by magnitude.
  //   larger:  1.fffffffffffffffffffffff
  //   smaller: 1.fffffffffffffffffffffff >> shift, in step 2
  float_t larger, smaller;
  logic [ExponentBits-1:0] distance;
  always_comb begin
    larger  = a_i;
    smaller = b_i;
    if ({b_i.exponent, b_i.fraction} > {a_i.exponent, a_i.fraction}) begin
      larger  = b_i;
      smaller = a_i;
    end
    distance           = larger.exponent - smaller.exponent;
    ordered_d.negative = larger.sign;
    ordered_d.subtract = a_i.sign ^ b_i.sign;
    ordered_d.exponent = larger.exponent;
    ordered_d.shift    = distance > ExponentBits'(MaxShift) ? 5'(MaxShift) : distance[4:0];
    ordered_larger_d    = {larger.exponent != '0, larger.fraction};
    ordered_smaller_d   = {smaller.exponent != '0, smaller.fraction};
  end

  logic unused_smaller_sign;
  assign unused_smaller_sign = smaller.sign;

  // Step 2: align. What leaves at the right is kept as one sticky bit.
  //   larger:  1.fffffffffffffffffffffff 000
  //   smaller: 0.00001ffffffffffffffffff grs
  logic [2*AlignBits-1:0] shifted;
  always_comb begin
    shifted            = {ordered_smaller_q, (AlignBits + 3)'(0)} >> ordered_q.shift;
    aligned_d.negative = ordered_q.negative;
    aligned_d.subtract = ordered_q.subtract;
    aligned_d.exponent = ordered_q.exponent;
    aligned_larger_d    = {ordered_larger_q, 3'b0};
    aligned_smaller_d   = shifted[2*AlignBits-1:AlignBits] | AlignBits'(|shifted[AlignBits-1:0]);
  end

  // Step 3: add or subtract (never negative, the larger comes first), count leading zeros.
  always_comb begin
    summed_d.negative = aligned_q.negative;
    summed_d.exponent = aligned_q.exponent;
    summed_d.total      = aligned_q.subtract ? {1'b0, aligned_larger_q} - {1'b0, aligned_smaller_q}
                                           : {1'b0, aligned_larger_q} + {1'b0, aligned_smaller_q};
    summed_d.zeros    = 5'(SumBits);
    for (int unsigned i = 0; i < SumBits; i++) begin
      if (summed_d.total[i]) summed_d.zeros = 5'(SumBits - 1 - i);
    end
  end

  // Step 4: normalise, round, clamp.
  //   normal: 1fff ffff ffff ffff ffff ffff hrrr   (28 bits: 24 kept, half, rest)
  logic [SumBits-1:0]             normal;
  logic                           up;
  logic [SigBits:0]               rounded;
  logic signed [ExponentBits+1:0] code;
  always_comb begin
    normal  = summed_q.total << summed_q.zeros;
    up      = normal[3] && (normal[2:0] != '0 || normal[4]);
    rounded = {1'b0, normal[SumBits-1:4]} + (SigBits + 1)'(up);
    code    = signed'({2'b0, summed_q.exponent}) + 14'sd1 - signed'(14'(summed_q.zeros))
              + signed'(14'(rounded[SigBits]));

    rounded_d.saturated      = 1'b0;
    // After a carry the fraction is all zero, so it needs no shift.
    rounded_d.value.sign     = summed_q.negative;
    rounded_d.value.exponent = code[ExponentBits-1:0];
    rounded_d.value.fraction = rounded[FractionBits-1:0];
    if (summed_q.total == '0 || code < 14'sd1) begin
      rounded_d.value = '0;
    end else if (code > 14'sd4095) begin
      rounded_d.saturated      = 1'b1;
      rounded_d.value.exponent = '1;
      rounded_d.value.fraction = '1;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      ordered_q         <= '0;
      ordered_larger_q  <= '0;
      ordered_smaller_q <= '0;
      aligned_q         <= '0;
      aligned_larger_q  <= '0;
      aligned_smaller_q <= '0;
      summed_q  <= '0;
      rounded_q <= '0;
    end else begin
      ordered_q         <= ordered_d;
      ordered_larger_q  <= ordered_larger_d;
      ordered_smaller_q <= ordered_smaller_d;
      aligned_q         <= aligned_d;
      aligned_larger_q  <= aligned_larger_d;
      aligned_smaller_q <= aligned_smaller_d;
      summed_q  <= summed_d;
      rounded_q <= rounded_d;
    end
  end

  assign sum_o       = rounded_q.value;
  assign saturated_o = rounded_q.saturated;

endmodule : float_add
