// SPDX-License-Identifier: Apache-2.0
// Takes commands and keeps what the stages need to know of each head until its last result: the keys that each row
// sees, the tiles that any row sees. A head of which no row sees a key is refused and takes no context.
module head_table
  import tandem_pkg::*;
#(
  parameter int unsigned Rows,
  parameter int unsigned Segments
) (
  input  logic                                             clk_i,
  input  logic                                             rst_ni,
  input  command_t                                         command_i,
  input  logic        [Rows-1:0][PositionBits-1:0]         positions_i,  // of each row's query
  input  logic        [Rows-1:0]                           rows_i,       // rows in use
  output logic                                             command_ready_o,
  input  head_start_t                                      done_i,       // a head gave its last result
  output head_start_t                                      started_o,
  output head_start_t                                      refused_o,
  output head_info_t  [Contexts-1:0]                       heads_o,
  output logic        [Contexts-1:0][Rows-1:0]             rows_o,
  output logic        [Contexts-1:0][Rows-1:0][PositionBits-1:0] first_key_o,
  output logic        [Contexts-1:0][Rows-1:0][PositionBits-1:0] end_key_o
);

  logic [Contexts-1:0] busy_d, busy_q;
  logic [1:0]          next_d, next_q;
  head_start_t         taken_d, taken_q, started_d, started_q, refused_d, refused_q;
  head_info_t [Contexts-1:0] heads_d, heads_q;
  logic [Contexts-1:0][Rows-1:0] rows_d, rows_q;
  logic [Contexts-1:0][Rows-1:0][PositionBits-1:0] first_key_d, first_key_q, end_key_d, end_key_q;

  // Step 1, when a command is taken: the keys of each row.
  logic                    take;
  logic [PositionBits:0]   own;
  // Step 2, a cycle later: the tiles of all rows.
  logic                    any;
  logic [PositionBits-1:0] lowest, highest;

  always_comb begin
    take        = command_i.valid && !busy_q[next_q] && !taken_q.valid;
    busy_d      = busy_q;
    next_d      = next_q;
    heads_d     = heads_q;
    rows_d      = rows_q;
    first_key_d = first_key_q;
    end_key_d   = end_key_q;
    started_d   = '0;
    refused_d   = '0;
    own         = '0;
    any         = 1'b0;
    lowest      = '1;
    highest     = '0;

    if (done_i.valid) busy_d[done_i.head] = 1'b0;

    if (taken_q.valid) begin
      for (int unsigned r = 0; r < Rows; r++) begin
        if (first_key_q[taken_q.head][r] < end_key_q[taken_q.head][r]) begin
          any = 1'b1;
          if (first_key_q[taken_q.head][r] < lowest) lowest = first_key_q[taken_q.head][r];
          if (end_key_q[taken_q.head][r] > highest) highest = end_key_q[taken_q.head][r];
        end
      end
      if (any) begin
        started_d            = taken_q;
        busy_d[taken_q.head] = 1'b1;
        next_d               = next_q + 2'd1;
        heads_d[taken_q.head].origin = head_groups(Segments, heads_q[taken_q.head].int8,
                                                   heads_q[taken_q.head].wide) == 1
            ? {lowest[PositionBits-1:5], 5'd0} : {lowest[PositionBits-1:6], 6'd0};
        heads_d[taken_q.head].limit = highest;
      end else begin
        refused_d = taken_q;
      end
    end

    taken_d.valid = take;
    taken_d.head  = next_q;
    if (take) begin
      heads_d[next_q].resident = command_i.resident;
      heads_d[next_q].int8 = command_i.int8;
      heads_d[next_q].wide = command_i.wide;
      heads_d[next_q].base = command_i.base;
      rows_d[next_q]       = rows_i;
      for (int unsigned r = 0; r < Rows; r++) begin
        own = {1'b0, positions_i[r]} + 1'b1;
        first_key_d[next_q][r] = '0;
        end_key_d[next_q][r]   = '0;
        if (rows_i[r]) begin
          if (command_i.window != '0 && own > {1'b0, command_i.window}) begin
            first_key_d[next_q][r] = PositionBits'(own - {1'b0, command_i.window});
          end
          end_key_d[next_q][r] = command_i.tokens;
          if (command_i.causal && own < {1'b0, command_i.tokens}) begin
            end_key_d[next_q][r] = PositionBits'(own);
          end
        end
      end
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      busy_q      <= '0;
      next_q      <= '0;
      taken_q     <= '0;
      started_q   <= '0;
      refused_q   <= '0;
      heads_q     <= '0;
      rows_q      <= '0;
      first_key_q <= '0;
      end_key_q   <= '0;
    end else begin
      busy_q      <= busy_d;
      next_q      <= next_d;
      taken_q     <= taken_d;
      started_q   <= started_d;
      refused_q   <= refused_d;
      heads_q     <= heads_d;
      rows_q      <= rows_d;
      first_key_q <= first_key_d;
      end_key_q   <= end_key_d;
    end
  end

  assign command_ready_o = !busy_q[next_q] && !taken_q.valid;
  assign started_o       = started_q;
  assign refused_o       = refused_q;
  assign heads_o         = heads_q;
  assign rows_o          = rows_q;
  assign first_key_o     = first_key_q;
  assign end_key_o       = end_key_q;

endmodule : head_table
