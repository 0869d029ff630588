// SPDX-License-Identifier: Apache-2.0
// GroupFloats lanes and the tags of the words in them. One word a cycle, no stalls; word_o and y_o come 1 (Copy), 4 (Add,
// Scale), 11 (Rotate) or 18 (Gate) cycles behind word_i, square_word_o and square_o two behind those (Copy, Add). op_i is
// looked at with a word. Between words the lanes get zeros, so that they come to rest.
`include "tandem_assert.svh"

module vector_lanes
  import tandem_pkg::*;
(
  input  logic                           clk_i,
  input  logic                           rst_ni,
  input  lane_op_e                       op_i,
  input  vector_word_t                   word_i,
  input  logic   [GroupFloats-1:0][31:0] a_i,
  input  logic   [GroupFloats-1:0][31:0] b_i,
  input  logic   [GroupFloats-1:0][31:0] cos_i,
  input  logic   [GroupFloats-1:0][31:0] sin_i,
  input  float_t                         scale_i,
  output vector_word_t                   word_o,
  output float_t [GroupFloats-1:0]       y_o,
  output vector_word_t                   square_word_o,
  output float_t [GroupFloats-1:0]       square_o,
  output logic                           busy_o
);

  // Cycles from a word to its y, and to its square.
  localparam int unsigned Copied       = 1;
  localparam int unsigned Added        = FloatLatency;
  localparam int unsigned Scaled       = 2 * ProductLatency;
  localparam int unsigned Rotated      = 3 * ProductLatency + 1 + FloatLatency;
  localparam int unsigned Gated        = 3 * ProductLatency + 2 * FunctionLatency + FloatLatency;
  localparam int unsigned CopySquared  = Copied + ProductLatency;
  localparam int unsigned AddedSquared = Added + ProductLatency;

  lane_op_e     op_d, op_q;
  vector_word_t tag_d[Gated];
  vector_word_t tag_q[Gated];  // a word is in tag_q[i] i + 1 cycles after it came

  // Stages in which there may be a word.
  int unsigned stages;
  always_comb begin
    unique case (op_q)
      LaneCopy:   stages = CopySquared;
      LaneAdd:    stages = AddedSquared;
      LaneScale:  stages = Scaled;
      LaneRotate: stages = Rotated;
      default:    stages = Gated;
    endcase
  end

  always_comb begin
    op_d     = word_i.valid ? op_i : op_q;
    tag_d[0] = word_i.valid ? word_i : '0;
    for (int unsigned i = 1; i < Gated; i++) tag_d[i] = i < stages ? tag_q[i-1] : '0;
  end

  for (genvar k = 0; k < GroupFloats; k++) begin : gen_lane
    vector_lane u_lane (
      .clk_i,
      .rst_ni,
      .op_i    (op_d),
      .hi_i    (tag_d[0].hi),
      .a_i     (word_i.valid ? a_i[k] : '0),
      .b_i     (word_i.valid ? b_i[k] : '0),
      .cos_i   (word_i.valid ? cos_i[k] : '0),
      .sin_i   (word_i.valid ? sin_i[k] : '0),
      .scale_i (word_i.valid ? scale_i : '0),
      .y_o     (y_o[k]),
      .square_o(square_o[k])
    );
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      op_q <= LaneCopy;
      for (int unsigned i = 0; i < Gated; i++) tag_q[i] <= '0;
    end else begin
      op_q <= op_d;
      for (int unsigned i = 0; i < Gated; i++) tag_q[i] <= tag_d[i];
    end
  end

  always_comb begin
    word_o        = '0;
    square_word_o = '0;
    unique case (op_q)
      LaneCopy: begin
        word_o        = tag_q[Copied-1];
        square_word_o = tag_q[CopySquared-1];
      end
      LaneAdd: begin
        word_o        = tag_q[Added-1];
        square_word_o = tag_q[AddedSquared-1];
      end
      LaneScale:  word_o = tag_q[Scaled-1];
      LaneRotate: word_o = tag_q[Rotated-1];
      default:    word_o = tag_q[Gated-1];
    endcase
    busy_o = 1'b0;
    for (int unsigned i = 0; i < Gated; i++) busy_o |= tag_q[i].valid;
  end

  // op_i stays while words are in the lanes, and there is such an operation.
  `TANDEM_INVARIANT(INV_LANES_1, !word_i.valid || (op_i <= LaneGate && (!busy_o || op_i == op_q)))
  // The words of a rotated pair come in consecutive cycles, lo first.
  `TANDEM_INVARIANT(INV_LANES_2, (op_q == LaneRotate && tag_q[0].valid && !tag_q[0].hi) ==
                    (word_i.valid && op_i == LaneRotate && word_i.hi))

endmodule : vector_lanes
