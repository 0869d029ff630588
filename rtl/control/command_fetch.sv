// SPDX-License-Identifier: Apache-2.0
// Commands of the ring, in order, each with what the check says of it. Up to `Ahead` are asked for before they are taken;
// places of the ring that lie beside each other are one request. A command is there 2 cycles after its word came.
`include "tandem_assert.svh"

module command_fetch
  import tandem_pkg::*;
#(
  parameter int unsigned Rows,
  parameter int unsigned Segments,
  parameter int unsigned BankWords,
  parameter int unsigned Ahead,      // a power of two
  localparam int unsigned PlaceBits = $clog2(Ahead)
) (
  input  logic                        clk_i,
  input  logic                        rst_ni,
  input  logic                        enable_i,
  input  logic [AxiAddressBits-1:0]   command_base_i,
  input  logic [3:0]                  ring_size_log2_i,
  input  logic [CommandIndexBits-1:0] producer_i,        // commands that the host has written
  input  logic [AxiAddressBits-1:0]   bounds_base_i,
  input  logic [AxiAddressBits-1:0]   bounds_limit_i,
  output read_request_t               request_o,
  input  logic                        request_ready_i,
  input  logic                        word_valid_i,
  input  logic                        word_error_i,
  input  logic [AxiBytes-1:0][7:0]    data_i,
  output logic                        valid_o,           // there is a command
  output logic [7:0]                  status_o,          // 0: it may be carried out
  output logic [CommandIndexBits-1:0] index_o,           // its own: so many were taken
  output logic [7:0][63:0]            command_o,
  input  logic                        take_i,            // only if there is one
  output logic                        waits_o,           // for words that were asked for
  output logic                        empty_o            // nothing is asked for or there
);

  read_request_t               request_d, request_q;
  logic [CommandIndexBits-1:0] fetched_d, fetched_q;        // commands that were asked for
  logic [CommandIndexBits-1:0] stored_d, stored_q;          // commands that have got their place
  logic [CommandIndexBits-1:0] taken_d, taken_q;
  logic                        word_valid_d, word_valid_q;
  logic                        word_error_d, word_error_q;
  logic            [7:0][63:0] word_d, word_q;
  logic                  [7:0] status_q[Ahead];

  // The next request: to the end of the ring, of what the host has written, and of the room.
  logic [CommandIndexBits-1:0] place, waiting, room;
  logic   [CommandIndexBits:0] size, words;
  logic                        issue;
  always_comb begin
    size    = (CommandIndexBits + 1)'(1) << ring_size_log2_i;
    place   = fetched_q & CommandIndexBits'(size - 1'b1);
    waiting = producer_i - fetched_q;
    room    = CommandIndexBits'(Ahead) - (fetched_q - taken_q);
    words   = size - (CommandIndexBits + 1)'(place);
    if (words > (CommandIndexBits + 1)'(waiting)) words = (CommandIndexBits + 1)'(waiting);
    if (words > (CommandIndexBits + 1)'(room)) words = (CommandIndexBits + 1)'(room);
    // A doorbell that takes commands back is none.
    if ((CommandIndexBits + 1)'(waiting) > size) words = '0;
    issue = enable_i && words != '0 && (!request_q.valid || request_ready_i);
  end

  always_comb begin
    request_d = request_q;
    fetched_d = fetched_q;
    if (request_ready_i) request_d.valid = 1'b0;
    if (issue) begin
      request_d.valid   = 1'b1;
      request_d.address = command_base_i + AxiAddressBits'({place, {$clog2(AxiBytes){1'b0}}});
      request_d.words   = words[15:0];
      fetched_d         = fetched_q + words[CommandIndexBits-1:0];
    end
    word_valid_d = word_valid_i;
    word_error_d = word_valid_i ? word_error_i : word_error_q;
    word_d       = word_valid_i ? data_i : word_q;
    stored_d     = stored_q + CommandIndexBits'(word_valid_q);
    taken_d      = taken_q + CommandIndexBits'(take_i);
  end

  logic [7:0] status, checked;
  command_check #(
    .Rows     (Rows),
    .Segments (Segments),
    .BankWords(BankWords)
  ) u_check (
    .command_i     (word_q),
    .bounds_base_i (bounds_base_i),
    .bounds_limit_i(bounds_limit_i),
    .status_o      (checked)
  );
  assign status = word_error_q ? 8'(StatusFetchError) : checked;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      request_q    <= '0;
      fetched_q    <= '0;
      stored_q     <= '0;
      taken_q      <= '0;
      word_valid_q <= '0;
      word_error_q <= '0;
      word_q       <= '0;
    end else begin
      request_q    <= request_d;
      fetched_q    <= fetched_d;
      stored_q     <= stored_d;
      taken_q      <= taken_d;
      word_valid_q <= word_valid_d;
      word_error_q <= word_error_d;
      word_q       <= word_d;
    end
  end

  always_ff @(posedge clk_i) begin
    if (word_valid_q && rst_ni) status_q[stored_q[PlaceBits-1:0]] <= status;
  end
  for (genvar c = 0; c < 8; c++) begin : gen_column
    logic [63:0] command_q[Ahead];
    always_ff @(posedge clk_i) begin
      if (word_valid_q && rst_ni) command_q[stored_q[PlaceBits-1:0]] <= word_q[c];
    end
    assign command_o[c] = command_q[taken_q[PlaceBits-1:0]];
  end

  assign request_o = request_q;
  assign valid_o   = stored_q != taken_q;
  assign status_o  = status_q[taken_q[PlaceBits-1:0]];
  assign index_o   = taken_q;
  assign waits_o   = fetched_q != stored_q;
  assign empty_o   = fetched_q == taken_q;

  // Every word was asked for.
  `TANDEM_INVARIANT(INV_FETCH_1, !word_valid_q || stored_q != fetched_q)
  `TANDEM_INVARIANT(INV_FETCH_2, fetched_q - taken_q <= CommandIndexBits'(Ahead))
  `TANDEM_INVARIANT(INV_FETCH_3, !take_i || valid_o)

endmodule : command_fetch
