// SPDX-License-Identifier: Apache-2.0
// Float multiplier: product of two floats, rounded once to nearest even, as a float or as binary32 (docs/numerics.md, "The
// float", "Division"). Latency ProductLatency = 2 cycles, one product a cycle. `saturated_o` goes with its product.
// The two steps are the functions of model/src/numerics/multiply.rs.
module float_multiply
  import tandem_pkg::*;
#(
  parameter int unsigned CodeBits,  // of the product's exponent code
  parameter int unsigned Bias,      // its code of 2^0
  parameter int unsigned Most       // its largest code
) (
  input  logic                           clk_i,
  input  logic                           rst_ni,
  input  float_t                         a_i,
  input  float_t                         b_i,
  output logic [CodeBits+FractionBits:0] product_o,  // {sign, exponent code, fraction}
  output logic                           saturated_o
);

  localparam int unsigned SigBits = FractionBits + 1;  // with the hidden bit

  typedef struct packed {
    logic                  negative;
    logic [ExponentBits:0] exponent;  // sum of the exponent codes
    logic [2*SigBits-1:0]  total;
  } product_t;

  typedef struct packed {
    logic                           saturated;
    logic [CodeBits+FractionBits:0] value;
  } rounded_t;

  product_t product_d, product_q;
  rounded_t rounded_d, rounded_q;

  // Step 1: the exact product. Of a zero the total is 0.
  always_comb begin
    product_d.negative = a_i.sign ^ b_i.sign;
    product_d.exponent = {1'b0, a_i.exponent} + {1'b0, b_i.exponent};
    product_d.total    = (2 * SigBits)'({a_i.exponent != '0, a_i.fraction})
                         * (2 * SigBits)'({b_i.exponent != '0, b_i.fraction});
  end

  // Step 2: normalise, round, clamp.
  //   normal: 1fffffffffffffffffffffff hrrrrrrrrrrrrrrrrrrrrrrr   (48 bits: 24 kept, half, rest)
  logic        [2*SigBits-1:0]    normal;
  logic                           up;
  logic        [SigBits:0]        rounded;
  logic signed [ExponentBits+1:0] code;
  always_comb begin
    normal  = product_q.total[2*SigBits-1] ? product_q.total : product_q.total << 1;
    up      = normal[SigBits-1] && (normal[SigBits-2:0] != '0 || normal[SigBits]);
    rounded = {1'b0, normal[2*SigBits-1:SigBits]} + (SigBits + 1)'(up);
    code    = signed'({1'b0, product_q.exponent}) - signed'(14'(2 * ExponentBias - Bias))
              + signed'(14'(product_q.total[2*SigBits-1])) + signed'(14'(rounded[SigBits]));

    rounded_d.saturated = 1'b0;
    // After a carry the fraction is all zero, so it needs no shift.
    rounded_d.value     = {product_q.negative, code[CodeBits-1:0], rounded[FractionBits-1:0]};
    if (product_q.total == '0 || code < 14'sd1) begin
      rounded_d.value = '0;
    end else if (code > signed'(14'(Most))) begin
      rounded_d.saturated = 1'b1;
      rounded_d.value     = {product_q.negative, CodeBits'(Most), FractionBits'('1)};
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      product_q <= '0;
      rounded_q <= '0;
    end else begin
      product_q <= product_d;
      rounded_q <= rounded_d;
    end
  end

  assign product_o   = rounded_q.value;
  assign saturated_o = rounded_q.saturated;

endmodule : float_multiply
