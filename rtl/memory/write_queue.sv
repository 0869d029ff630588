// SPDX-License-Identifier: Apache-2.0
// A client's way to the writer: two requests and two words may wait in it, so both are taken in every cycle while the
// writer does, and no path leads from the writer to the client within a cycle. What comes in is there in the next cycle.
`include "tandem_assert.svh"

module write_queue
  import tandem_pkg::*;
#(
  localparam int unsigned Columns = AxiBytes / 8
) (
  input  logic                             clk_i,
  input  logic                             rst_ni,
  input  logic                             clear_i,          // drops everything, also what comes in now
  input  write_request_t                   request_i,
  output logic                             request_ready_o,
  input  logic                             word_valid_i,
  input  logic              [AxiBytes-1:0] strobe_i,
  input  logic         [AxiBytes-1:0][7:0] data_i,
  output logic                             word_ready_o,
  output write_request_t                   request_o,
  input  logic                             request_taken_i,
  output logic                             word_valid_o,
  output logic              [AxiBytes-1:0] strobe_o,
  output logic         [AxiBytes-1:0][7:0] data_o,
  input  logic                             word_taken_i,
  output logic                             idle_o
);

  write_request_t [1:0] request_d, request_q;  // 0 is given first
  logic           [1:0] count_d, count_q;      // words
  logic                 push_d, push_q;        // where the next word is written
  logic                 pop_d, pop_q;          // where the next to be given lies
  logic  [AxiBytes-1:0] strobe_q[2];

  logic store;
  assign store = word_valid_i && word_ready_o;

  always_comb begin
    request_d = request_q;
    count_d   = count_q;
    push_d    = push_q;
    pop_d     = pop_q;

    if (request_taken_i) begin
      request_d[0]       = request_q[1];
      request_d[1].valid = 1'b0;
    end
    if (request_i.valid && request_ready_o) begin
      if (request_d[0].valid) request_d[1] = request_i;
      else request_d[0] = request_i;
    end
    if (store) push_d = !push_q;
    if (word_taken_i) pop_d = !pop_q;
    count_d = count_q + 2'(store) - 2'(word_taken_i);
    if (clear_i) begin
      request_d[0].valid = 1'b0;
      request_d[1].valid = 1'b0;
      count_d            = '0;
      pop_d              = push_d;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      request_q <= '0;
      count_q   <= '0;
      push_q    <= '0;
      pop_q     <= '0;
    end else begin
      request_q <= request_d;
      count_q   <= count_d;
      push_q    <= push_d;
      pop_q     <= pop_d;
    end
  end

  always_ff @(posedge clk_i) begin
    if (store && rst_ni) strobe_q[push_q] <= strobe_i;
  end

  // Words in columns of eight bytes.
  logic [Columns-1:0][63:0] columns, given;
  assign columns = data_i;
  assign data_o  = given;

  for (genvar c = 0; c < Columns; c++) begin : gen_column
    logic [63:0] data_q[2];
    always_ff @(posedge clk_i) begin
      if (store && rst_ni) data_q[push_q] <= columns[c];
    end
    assign given[c] = data_q[pop_q];
  end

  assign request_ready_o = !request_q[1].valid;
  assign word_ready_o    = !count_q[1];
  assign request_o       = request_q[0];
  assign word_valid_o    = count_q != '0;
  assign strobe_o        = strobe_q[pop_q];
  assign idle_o          = !request_q[0].valid && count_q == '0;

  `TANDEM_INVARIANT(INV_WRITES_1, !request_q[0].valid ||
                    (request_q[0].words != '0 && request_q[0].address[5:0] == '0))
  `TANDEM_INVARIANT(INV_WRITES_2, request_q[0].valid || !request_q[1].valid)
  `TANDEM_INVARIANT(INV_WRITES_3, count_q <= 2'd2)

endmodule : write_queue
