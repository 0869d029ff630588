// SPDX-License-Identifier: Apache-2.0
// Counts messages: a message is a word of the latency channel. The bell rings for 1 cycle when a flit with messages has come,
// in the first cycle in which they are counted and can be read.
`include "tandem_assert.svh"

module link_mailbox
  import tandem_pkg::*;
#(
  localparam int unsigned Messages  = FlitWords * LatencySlots,
  localparam int unsigned CountBits = $clog2(Messages + 1)
) (
  input  logic                         clk_i,
  input  logic                         rst_ni,
  input  logic                         push_i,
  input  logic [$clog2(FlitWords)-1:0] push_words_last_i,
  input  logic                         read_i,
  output logic                         doorbell_o,
  output logic [CountBits-1:0]         waiting_o
);

  logic                 doorbell_d, doorbell_q;
  logic [CountBits-1:0] waiting_d, waiting_q;

  always_comb begin
    doorbell_d = push_i;
    waiting_d  = waiting_q - CountBits'(read_i);
    if (push_i) waiting_d = waiting_d + CountBits'(push_words_last_i) + 1'b1;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      doorbell_q <= '0;
      waiting_q  <= '0;
    end else begin
      doorbell_q <= doorbell_d;
      waiting_q  <= waiting_d;
    end
  end

  assign doorbell_o = doorbell_q;
  assign waiting_o  = waiting_q;

  `TANDEM_INVARIANT(INV_MAILBOX_1, waiting_q <= CountBits'(Messages))
  `TANDEM_INVARIANT(INV_MAILBOX_2, !(read_i && waiting_q == '0))

endmodule : link_mailbox
