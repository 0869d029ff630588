// SPDX-License-Identifier: Apache-2.0
// Receives flits of four beats and checks their CRC. A word leaves 1 cycle after it was on the wire, whether it is good is
// known with the flit, 2 cycles after its last beat was on the wire. One beat a cycle, no stalls.
// The first beat of an init flit says where flits begin; from then on beats are counted, until reset or `realign_i`.
module flit_rx
  import tandem_pkg::*;
(
  input  logic                          clk_i,
  input  logic                          rst_ni,
  input  logic [LinkWordBytes-1:0][7:0] wire_data_i,
  input  logic                   [15:0] wire_side_i,
  input  logic                    [7:0] epoch_i,
  input  logic                          realign_i,
  output logic                          word_valid_o,
  output logic [$clog2(FlitWords)-1:0]  word_index_o,
  output logic [LinkWordBytes-1:0][7:0] word_o,
  output logic                    [1:0] word_channel_o,
  output flit_t                         flit_o,
  output logic                          aligned_o
);

  logic [LinkWordBytes-1:0][7:0] data_d, data_q;
  logic                   [15:0] side_d, side_q;
  logic                          aligned_d, aligned_q;
  logic [$clog2(FlitWords)-1:0]  beat_d, beat_q;
  logic                   [31:0] crc_d, crc_q;
  logic [FlitWords-2:0]   [15:0] sides_d, sides_q;  // of the beats before
  flit_t                         flit_d, flit_q;

  // Where flits begin. An init flit's first beat counts at once.
  logic [$clog2(FlitWords)-1:0] beat;
  flit_header_t first_header;  // its lower half, from beat 0 on
  logic begins, aligned;
  assign beat         = aligned_q ? beat_q : '0;
  assign first_header = {16'd0, beat == '0 ? side_q : sides_q[0]};
  assign begins       = first_header.kind == FlitInit && data_q[15:8] == link_magic();
  assign aligned      = aligned_q || begins;

  logic unused_header;
  assign unused_header = ^first_header;

  // The payload. The peer of an init flit knows no epoch yet.
  logic [7:0]  epoch;
  logic [31:0] state_before, payload_state;
  assign epoch        = first_header.kind == FlitInit ? '0 : epoch_i;
  assign state_before = beat == '0 ? ~{4{epoch}} : crc_q;
  crc32c #(
    .Bytes(LinkWordBytes)
  ) u_payload_crc (
    .state_i(state_before),
    .data_i (data_q),
    .state_o(payload_state)
  );

  // The last word and the header.
  flit_header_t header;
  logic [31:0]  sent_crc, state;
  assign {sent_crc, header} = {side_q, sides_q};
  crc32c #(
    .Bytes(LinkWordBytes + 4)
  ) u_last_crc (
    .state_i(crc_q),
    .data_i ({header, data_q}),
    .state_o(state)
  );

  always_comb begin
    data_d    = wire_data_i;
    side_d    = wire_side_i;
    aligned_d = aligned && !realign_i;
    beat_d    = '0;
    crc_d     = crc_q;
    sides_d   = sides_q;
    flit_d    = '0;
    if (aligned) begin
      beat_d = beat + 1'b1;
      crc_d  = payload_state;
      if (beat == '1) begin
        flit_d.valid  = 1'b1;
        flit_d.good   = sent_crc == ~state;
        flit_d.header = header;
      end else begin
        sides_d[beat] = side_q;
      end
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      data_q    <= '0;
      side_q    <= '0;
      aligned_q <= '0;
      beat_q    <= '0;
      crc_q     <= '0;
      sides_q   <= '0;
      flit_q    <= '0;
    end else begin
      data_q    <= data_d;
      side_q    <= side_d;
      aligned_q <= aligned_d;
      beat_q    <= beat_d;
      crc_q     <= crc_d;
      sides_q   <= sides_d;
      flit_q    <= flit_d;
    end
  end

  assign word_valid_o   = aligned;
  assign word_index_o   = beat;
  assign word_o         = data_q;
  assign word_channel_o = first_header.channel;
  assign flit_o         = flit_q;
  assign aligned_o      = aligned;

endmodule : flit_rx
