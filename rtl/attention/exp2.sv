// SPDX-License-Identifier: Apache-2.0
// Power of two of a score: 2^score = mantissa x 2^(exponent + 1 - MantissaBits), docs/numerics.md, "Softmax".
// Latency Exp2Latency = 3 cycles, one score a cycle. `clamped_o` goes with the power it belongs to.
// Rounded to ScoreFractionBits fraction bits first; then the table and straight lines between its entries: the
// mantissa is at most 2^-11.9 (relative) from the exact power of the rounded score, and monotonic.
// The three steps are the three functions of model/src/numerics/softmax.rs.
module exp2
  import tandem_pkg::*;
(
  input  logic                                clk_i,
  input  logic                                rst_ni,
  input  float_t                              score_i,
  output logic signed [ScoreExponentBits-1:0] exponent_o,
  output logic        [MantissaBits-1:0]      mantissa_o,
  output logic                                clamped_o
);

  localparam int unsigned SigBits   = FractionBits + 1;      // with the hidden bit
  localparam int unsigned MaxShift  = SigBits + 2;           // nothing is left, not even half a unit
  localparam int unsigned FixedBits = ScoreExponentBits + ScoreFractionBits;
  localparam int unsigned SizeBits  = FixedBits - 1;         // magnitude
  // Exponent code of a score whose significand is in units of 2^-ScoreFractionBits.
  localparam int unsigned UnitCode  = ExponentBias + FractionBits - ScoreFractionBits;
  // From this exponent code on a score is 1024 and more.
  localparam int unsigned OverCode  = ExponentBias + ScoreExponentBits - 1;
  localparam logic [SizeBits:0] Limit = (SizeBits + 1)'(1023 << ScoreFractionBits);

  localparam int unsigned LowBits   = 6;                     // between two entries of the table
  localparam int unsigned PowerBits = 17;
  // 2^(i / 64) x 2^15, to nearest; model/tests/softmax.rs derives every entry.
  localparam logic [PowerBits-1:0] Power [65] = '{
    17'd32768, 17'd33125, 17'd33486, 17'd33850, 17'd34219, 17'd34591, 17'd34968, 17'd35349,
    17'd35734, 17'd36123, 17'd36516, 17'd36914, 17'd37316, 17'd37722, 17'd38133, 17'd38548,
    17'd38968, 17'd39392, 17'd39821, 17'd40255, 17'd40693, 17'd41136, 17'd41584, 17'd42037,
    17'd42495, 17'd42958, 17'd43425, 17'd43898, 17'd44376, 17'd44859, 17'd45348, 17'd45842,
    17'd46341, 17'd46846, 17'd47356, 17'd47871, 17'd48393, 17'd48920, 17'd49452, 17'd49991,
    17'd50535, 17'd51085, 17'd51642, 17'd52204, 17'd52773, 17'd53347, 17'd53928, 17'd54515,
    17'd55109, 17'd55709, 17'd56316, 17'd56929, 17'd57549, 17'd58176, 17'd58809, 17'd59449,
    17'd60097, 17'd60751, 17'd61413, 17'd62081, 17'd62757, 17'd63441, 17'd64132, 17'd64830,
    17'd65536
  };

  typedef struct packed {
    logic                negative;
    logic                over;       // 1024 and more
    logic [SizeBits-1:0] magnitude;
    logic                half;
    logic                rest;
  } scaled_t;

  typedef struct packed {
    logic                        clamped;
    logic signed [FixedBits-1:0] value;
  } fixed_t;

  typedef struct packed {
    logic                                clamped;
    logic signed [ScoreExponentBits-1:0] exponent;
    logic        [MantissaBits-1:0]      mantissa;
  } power_t;

  scaled_t scaled_d, scaled_q;
  fixed_t  fixed_d, fixed_q;
  power_t  power_d, power_q;

  // Step 1: align to the fixed point.
  //   1.fffffffffffffffffffffff >> shift:  iiiiiiiiii.ffffffffffff h rrr
  logic [ExponentBits-1:0]     distance;
  logic [4:0]                  shift;
  logic [SigBits+MaxShift-1:0] aligned;
  always_comb begin
    distance = ExponentBits'(UnitCode) - score_i.exponent;
    shift    = distance > ExponentBits'(MaxShift) ? 5'(MaxShift) : distance[4:0];
    aligned  = {score_i.exponent != '0, score_i.fraction, MaxShift'(0)} >> shift;

    scaled_d          = '0;
    scaled_d.negative = score_i.sign;
    scaled_d.over     = score_i.exponent >= ExponentBits'(OverCode);
    if (!scaled_d.over) begin
      scaled_d.magnitude = aligned[MaxShift+:SizeBits];
      scaled_d.half      = aligned[MaxShift-1];
      scaled_d.rest      = |aligned[MaxShift-2:0];
    end
  end

  logic unused_aligned;
  assign unused_aligned = ^aligned[SigBits+MaxShift-1:MaxShift+SizeBits];

  // Step 2: round to nearest even, clamp, sign.
  logic              up;
  logic [SizeBits:0] rounded;
  always_comb begin
    up              = scaled_q.half && (scaled_q.rest || scaled_q.magnitude[0]);
    rounded         = {1'b0, scaled_q.magnitude} + (SizeBits + 1)'(up);
    fixed_d.clamped = scaled_q.over || rounded > Limit;
    fixed_d.value   = signed'(fixed_d.clamped ? Limit : rounded);
    if (scaled_q.negative) fixed_d.value = -fixed_d.value;
  end

  // Step 3: the integer part is the exponent; a straight line between two entries of the table is the mantissa.
  //   line: 1.fff ffff ffff hrrr rrrr rr   (22 bits and a carry that never comes)
  logic [5:0]                   index;
  logic [LowBits-1:0]           low;
  logic [PowerBits-1:0]         left, right;
  logic [PowerBits+LowBits-1:0] line;
  always_comb begin
    index = fixed_q.value[ScoreFractionBits-1:LowBits];
    low   = fixed_q.value[LowBits-1:0];
    left  = Power[7'(index)];
    right = Power[7'(index)+7'd1];
    line  = {left, LowBits'(0)} + (PowerBits + LowBits)'(right - left) * (PowerBits + LowBits)'(low)
            + (PowerBits + LowBits)'(512);

    power_d.clamped  = fixed_q.clamped;
    power_d.exponent = fixed_q.value[FixedBits-1:ScoreFractionBits];
    power_d.mantissa = line[10+:MantissaBits];
  end

  logic unused_line;
  assign unused_line = ^{line[22], line[9:0]};

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      scaled_q <= '0;
      fixed_q  <= '0;
      power_q  <= '0;
    end else begin
      scaled_q <= scaled_d;
      fixed_q  <= fixed_d;
      power_q  <= power_d;
    end
  end

  assign exponent_o = power_q.exponent;
  assign mantissa_o = power_q.mantissa;
  assign clamped_o  = power_q.clamped;

endmodule : exp2
