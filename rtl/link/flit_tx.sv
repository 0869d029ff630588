// SPDX-License-Identifier: Apache-2.0
// Sends flits back to back, four beats each: a word of payload per beat, and on the side wires header and CRC.
// A flit is asked for in the cycle of `take_o`, every fourth one; its beat b is on the wire b + 2 cycles later.
module flit_tx
  import tandem_pkg::*;
(
  input  logic                          clk_i,
  input  logic                          rst_ni,
  input  flit_request_t                 request_i,
  output logic                          take_o,
  output logic [$clog2(FlitWords)-1:0]  word_index_o,
  input  logic [LinkWordBytes-1:0][7:0] word_i,
  output logic [LinkWordBytes-1:0][7:0] wire_data_o,
  output logic                   [15:0] wire_side_o
);

  // Beats of the flit that are still to come behind this one. Reset leaves none: a new flit is asked for at once.
  logic [$clog2(FlitWords)-1:0]  left_d, left_q;
  flit_header_t                  header_d, header_q;
  logic                   [31:0] crc_d, crc_q;  // beat 0: state after the payload; then the CRC
  logic [LinkWordBytes-1:0][7:0] wire_data_d, wire_data_q;
  logic                   [15:0] wire_side_d, wire_side_q;

  logic [31:0] state;
  crc32c #(
    .Bytes(4)
  ) u_crc (
    .state_i(crc_q),
    .data_i (header_q),
    .state_o(state)
  );

  logic [FlitWords-1:0][15:0] sides;
  assign sides = {crc_q, header_q};

  always_comb begin
    left_d      = left_q - 1'b1;
    header_d    = header_q;
    crc_d       = crc_q;
    wire_data_d = word_i;
    wire_side_d = sides[word_index_o];
    if (word_index_o == '0) crc_d = ~state;
    if (take_o) begin
      header_d = request_i.header;
      crc_d    = request_i.payload_crc;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      left_q      <= '0;
      header_q    <= '0;
      crc_q       <= '0;
      wire_data_q <= '0;
      wire_side_q <= '0;
    end else begin
      left_q      <= left_d;
      header_q    <= header_d;
      crc_q       <= crc_d;
      wire_data_q <= wire_data_d;
      wire_side_q <= wire_side_d;
    end
  end

  assign take_o       = left_q == '0;
  assign word_index_o = ~left_q;
  assign wire_data_o  = wire_data_q;
  assign wire_side_o  = wire_side_q;

endmodule : flit_tx
