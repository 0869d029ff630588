// SPDX-License-Identifier: Apache-2.0
// Integer times a power of two to float. Combinational, exact; only the exponent can leave the range
// (then the largest magnitude, or zero). docs/numerics.md, "Integer to float".
module int_to_float
  import tandem_pkg::*;
(
  input  block_sum_t sum_i,
  output float_t     value_o,
  output logic       saturated_o
);

  localparam int unsigned IntBits = $bits(sum_i.number);

  logic [IntBits-1:0]             magnitude;
  logic [FractionBits-1:0]        fraction;
  logic [4:0]                     lead;
  logic signed [ExponentBits+1:0] code;

  always_comb begin
    magnitude = sum_i.number[IntBits-1] ? -sum_i.number : sum_i.number;
    lead      = '0;
    for (int unsigned i = 0; i < IntBits; i++) begin
      if (magnitude[i]) lead = 5'(i);
    end
    // The leading one leaves at the top: it is the hidden bit.
    fraction = FractionBits'(magnitude) << (5'(FractionBits) - lead);
    code     = 14'(sum_i.exponent) + 14'(ExponentBias) + signed'(14'(lead));

    saturated_o      = 1'b0;
    value_o.sign     = sum_i.number[IntBits-1];
    value_o.exponent = code[ExponentBits-1:0];
    value_o.fraction = fraction;
    if (sum_i.number == '0 || code < 14'sd1) begin
      value_o = '0;
    end else if (code > 14'sd4095) begin
      saturated_o      = 1'b1;
      value_o.exponent = '1;
      value_o.fraction = '1;
    end
  end

endmodule : int_to_float
