// SPDX-License-Identifier: Apache-2.0
// Commands on their way to a unit. The front is offered when none of the tokens is pending that it waits for:
// wait_tokens, or wait_array where `Stage` is 1. What waits is told, so that no later command takes such a token.
`include "tandem_assert.svh"

module work_queue
  import tandem_pkg::*;
#(
  parameter int unsigned Depth,   // commands: a power of two
  parameter int unsigned Stage,   // 0: ahead of the unit that begins with a command, 1: ahead of the array
  localparam int unsigned PlaceBits = $clog2(Depth)
) (
  input  logic                        clk_i,
  input  logic                        rst_ni,
  input  logic                        work_valid_i,
  input  logic [CommandIndexBits-1:0] work_index_i,
  input  logic            [7:0][63:0] work_i,
  output logic                        work_ready_o,
  input  logic [ScoreboardTokens-1:0] pending_i,
  output logic                        front_valid_o,
  output logic [CommandIndexBits-1:0] front_index_o,
  output logic            [7:0][63:0] front_o,
  input  logic                        front_ready_i,
  output logic [ScoreboardTokens-1:0] holds_o,    // tokens that a command in here waits for
  output logic [ScoreboardTokens-1:0] waiting_o   // pending tokens that the front waits for
);

  typedef struct packed {
    logic [CommandIndexBits-1:0] index;
    logic [ScoreboardTokens-1:0] wait_tokens;
    logic [ScoreboardTokens-1:0] wait_array;
  } entry_t;

  entry_t [Depth-1:0] entry_d, entry_q;
  logic   [Depth-1:0] valid_d, valid_q;
  logic [PlaceBits-1:0] push_d, push_q, pop_d, pop_q;
  logic                 push, pop, free;
  command_head_t        head;
  command_destination_t destination;
  logic [ScoreboardTokens-1:0] mask;

  logic unused_head;
  assign unused_head = ^{head, destination};

  assign head        = work_i[0];
  assign destination = work_i[2];
  assign push        = work_valid_i && work_ready_o;
  assign mask        = Stage == 0 ? entry_q[pop_q].wait_tokens : entry_q[pop_q].wait_array;
  assign free        = (mask & pending_i) == '0;
  assign pop         = valid_q[pop_q] && free && front_ready_i;

  always_comb begin
    entry_d = entry_q;
    valid_d = valid_q;
    push_d  = push_q;
    pop_d   = pop_q;
    if (push) begin
      entry_d[push_q].index       = work_index_i;
      entry_d[push_q].wait_tokens = head.wait_tokens;
      entry_d[push_q].wait_array  = destination.wait_array;
      valid_d[push_q]             = 1'b1;
      push_d                      = push_q + 1'b1;
    end
    if (pop) begin
      valid_d[pop_q] = 1'b0;
      pop_d          = pop_q + 1'b1;
    end
    holds_o = '0;
    for (int unsigned i = 0; i < Depth; i++) begin
      if (valid_q[i]) holds_o |= entry_q[i].wait_array;
      if (valid_q[i] && Stage == 0) holds_o |= entry_q[i].wait_tokens;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      entry_q <= '0;
      valid_q <= '0;
      push_q  <= '0;
      pop_q   <= '0;
    end else begin
      entry_q <= entry_d;
      valid_q <= valid_d;
      push_q  <= push_d;
      pop_q   <= pop_d;
    end
  end

  for (genvar w = 0; w < 8; w++) begin : gen_word
    logic [63:0] word_q[Depth];
    always_ff @(posedge clk_i) begin
      if (push && rst_ni) word_q[push_q] <= work_i[w];
    end
    // Nothing is in an empty queue: an entry may never have been written.
    assign front_o[w] = valid_q[pop_q] ? word_q[pop_q] : '0;
  end

  assign work_ready_o  = !valid_q[push_q];
  assign front_valid_o = valid_q[pop_q] && free;
  assign front_index_o = entry_q[pop_q].index;
  assign waiting_o     = valid_q[pop_q] ? mask & pending_i : '0;

  `TANDEM_INVARIANT(INV_WORK_1, valid_q != '0 || push_q == pop_q)

endmodule : work_queue
