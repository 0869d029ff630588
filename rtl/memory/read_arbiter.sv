// SPDX-License-Identifier: Apache-2.0
// Four clients at one axi_reader: their requests in turn, each client its own words. A request is at the reader in the
// cycle after it was taken, if no other is; words are passed on in the same cycle.
`include "tandem_assert.svh"

module read_arbiter
  import tandem_pkg::*;
#(
  parameter int unsigned Depth,  // requests that the reader may have: a power of two
  localparam int unsigned PlaceBits = $clog2(Depth),
  localparam int unsigned Clients   = 4
) (
  input  logic                        clk_i,
  input  logic                        rst_ni,
  input  logic                        clear_i,          // drops everything, also what comes in this cycle
  input  read_request_t [Clients-1:0] request_i,
  output logic          [Clients-1:0] request_ready_o,
  output read_request_t               request_o,        // to the reader
  input  logic                        request_ready_i,
  input  read_word_t                  word_i,           // of the reader
  output logic                        word_ready_o,
  output read_word_t    [Clients-1:0] word_o,
  input  logic          [Clients-1:0] word_ready_i,
  output logic                        idle_o            // no request waits
);

  read_request_t [Clients-1:0] request_d, request_q;  // by client: waits for the reader
  logic                  [1:0] last_d, last_q;        // client of the newest request that the reader has
  logic [Depth-1:0]      [1:0] owner_d, owner_q;      // by place: client of a request that the reader has
  logic          [PlaceBits:0] push_d, push_q;        // requests that the reader was given
  logic          [PlaceBits:0] pop_d, pop_q;          // requests whose last word was given

  logic [Clients-1:0] wants;
  logic         [1:0] client;
  logic               full, pass;
  always_comb begin
    for (int unsigned c = 0; c < Clients; c++) wants[c] = request_q[c].valid;
  end
  assign client = next_turn(wants, last_q);
  assign full   = push_q - pop_q == (PlaceBits + 1)'(Depth);
  assign pass   = wants != '0 && !full && request_ready_i;

  // Whose word it is.
  logic [1:0] owner;
  assign owner = owner_q[pop_q[PlaceBits-1:0]];

  always_comb begin
    request_d = request_q;
    last_d    = last_q;
    owner_d   = owner_q;
    push_d    = push_q;
    pop_d     = pop_q;

    if (pass) begin
      request_d[client].valid        = 1'b0;
      last_d                         = client;
      owner_d[push_q[PlaceBits-1:0]] = client;
      push_d                         = push_q + 1'b1;
    end
    for (int unsigned c = 0; c < Clients; c++) begin
      if (request_i[c].valid && request_ready_o[c]) request_d[c] = request_i[c];
    end
    if (word_i.valid && word_i.last && word_ready_o) pop_d = pop_q + 1'b1;
    if (clear_i) begin
      for (int unsigned c = 0; c < Clients; c++) request_d[c].valid = 1'b0;
      pop_d = push_d;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      request_q <= '0;
      last_q    <= '0;
      owner_q   <= '0;
      push_q    <= '0;
      pop_q     <= '0;
    end else begin
      request_q <= request_d;
      last_q    <= last_d;
      owner_q   <= owner_d;
      push_q    <= push_d;
      pop_q     <= pop_d;
    end
  end

  always_comb begin
    request_o       = request_q[client];
    request_o.valid = wants != '0 && !full;
    for (int unsigned c = 0; c < Clients; c++) begin
      word_o[c]       = word_i;
      word_o[c].valid = word_i.valid && owner == 2'(c);
    end
  end
  assign request_ready_o = ~wants;
  assign word_ready_o    = word_ready_i[owner];
  assign idle_o          = wants == '0;

  `TANDEM_INVARIANT(INV_READS_1, push_q - pop_q <= (PlaceBits + 1)'(Depth))
  `TANDEM_INVARIANT(INV_READS_2, !word_i.valid || push_q != pop_q)

endmodule : read_arbiter
