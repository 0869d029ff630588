// SPDX-License-Identifier: Apache-2.0
// Processing element: two signed 9x5-bit multipliers, two partial-sum chains. One cycle, exact.
//
// GEMV and QK multiply the stationary byte with the operand and add to the partial sum that comes from the left.
// PV multiplies the byte on the p wires (unsigned) with the operand and accumulates in place. A bubble holds the
// sums. A load takes the p wires into the stationary bank that it names, in the lane where its count reaches 0.
module pe
  import tandem_pkg::*;
(
  input  logic       clk_i,
  input  logic       rst_ni,
  input  operand_t   operand_i,  // from above
  input  pe_tag_t    tag_i,      // from the left
  input  lane_byte_t p_i,        // from the left
  input  psum_t      psum_i,     // from the left
  output operand_t   operand_o,
  output pe_tag_t    tag_o,
  output lane_byte_t p_o,
  output psum_t      psum_o
);

  operand_t         operand_q;
  pe_tag_t          tag_d, tag_q;
  lane_byte_t       p_q;
  psum_t            psum_d, psum_q;
  lane_byte_t [1:0] stationary_d, stationary_q;

  logic             accumulate;
  logic signed [8:0]  left_lo, left_hi;
  logic signed [17:0] base_lo, base_hi;

  // Loads
  always_comb begin
    tag_d        = tag_i;
    stationary_d = stationary_q;
    if (tag_i.load) begin
      if (tag_i.load_count == '0) begin
        stationary_d[tag_i.load_bank] = p_i;
        tag_d.load                    = 1'b0;
      end else begin
        tag_d.load_count = tag_i.load_count - 6'd1;
      end
    end
  end

  // Products and sums
  always_comb begin
    accumulate = tag_i.mode == ModePv;
    left_lo    = {stationary_q[tag_i.bank].lo[7], stationary_q[tag_i.bank].lo};
    left_hi    = {stationary_q[tag_i.bank].hi[7], stationary_q[tag_i.bank].hi};
    base_lo    = psum_i.lo;
    base_hi    = psum_i.hi;
    if (accumulate) begin
      left_lo = {1'b0, p_i.lo};
      left_hi = {1'b0, p_i.hi};
      base_lo = tag_i.first ? '0 : psum_q.lo;
      base_hi = tag_i.first ? '0 : psum_q.hi;
    end
    psum_d = psum_q;
    if (tag_i.mode != ModeIdle) begin
      psum_d.lo = base_lo + 18'(left_lo * operand_i.lo);
      psum_d.hi = base_hi + 18'(left_hi * operand_i.hi);
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      operand_q    <= '0;
      tag_q        <= '0;
      p_q          <= '0;
      psum_q       <= '0;
      stationary_q <= '0;
    end else begin
      operand_q    <= operand_i;
      tag_q        <= tag_d;
      p_q          <= p_i;
      psum_q       <= psum_d;
      stationary_q <= stationary_d;
    end
  end

  assign operand_o = operand_q;
  assign tag_o     = tag_q;
  assign p_o       = p_q;
  assign psum_o    = psum_q;

endmodule : pe
