// SPDX-License-Identifier: Apache-2.0
// Four banks behind one read port and one fill queue, with SECDED.
//
// A read is accepted in every cycle and its word is there ReadLatency cycles later. Fills wait in a queue of FillWords;
// the head is encoded and written in a cycle in which no read takes its bank. Four neighbouring words lie in four
// banks.
`include "tandem_assert.svh"

module bank_group
  import tandem_pkg::*;
#(
  parameter int unsigned Segments,
  parameter int unsigned BankWords,
  localparam int unsigned WordBytes = SegmentLanes * Segments,
  localparam int unsigned Columns   = WordBytes / CodewordBytes,
  localparam int unsigned IndexBits = $clog2(BankWords),
  localparam int unsigned BankBits  = $clog2(Banks)
) (
  input  logic                      clk_i,
  input  logic                      rst_ni,
  input  logic                      pinned_i,  // constant while anything is in flight
  input  bank_read_t                read_i,
  output bank_word_t                word_o,
  output logic [WordBytes-1:0][7:0] word_data_o,
  input  bank_fill_t                fill_i,
  input  logic [WordBytes-1:0][7:0] fill_data_i,
  output logic                      fill_ready_o,
  output bank_fill_t                written_o,
  input  logic                      clear_errors_i,
  output bank_errors_t              errors_o
);

  localparam int unsigned FillWords = 4;

  // The bank of an address: words that are filled in and read in one order touch the banks in turn.
  function automatic logic [BankBits-1:0] bank_of(input logic [WordAddressBits-1:0] address);
    return BankBits'(address % WordAddressBits'(Banks));
  endfunction

  // Its word in that bank. Addresses wrap.
  function automatic logic [IndexBits-1:0] index_of(input logic [WordAddressBits-1:0] address);
    return IndexBits'(address >> BankBits);
  endfunction

  // Words of streamed tiles keep out of the lower half when that is taken.
  bank_read_t                 read;
  logic [WordAddressBits-1:0] head_address;
  always_comb begin
    read         = read_i;
    read.address = ring_address(Banks * BankWords, pinned_i && read_i.streamed, read_i.address);
    head_address = ring_address(Banks * BankWords, pinned_i && head.region != RegionResident,
                                head.address);
  end

  // ---- fill queue: a ring ----
  bank_fill_t               fill_d[FillWords], fill_q[FillWords];  // `valid`: the entry is taken
  logic               [1:0] head_d, head_q, tail_d, tail_q;
  logic [Columns-1:0][63:0] fill_data, head_data;
  bank_fill_t               head;
  logic                     accept, write;

  assign fill_data = fill_data_i;
  assign head      = fill_q[head_q];
  assign accept    = fill_i.valid && fill_ready_o;
  // Reads go first.
  assign write     = head.valid && !(read.valid && bank_of(read.address) == bank_of(head_address));

  always_comb begin
    head_d = head_q;
    tail_d = tail_q;
    fill_d = fill_q;
    if (write) begin
      fill_d[head_q].valid = 1'b0;
      head_d               = head_q + 2'd1;
    end
    if (accept) begin
      fill_d[tail_q] = fill_i;
      tail_d         = tail_q + 2'd1;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      head_q <= '0;
      tail_q <= '0;
      for (int unsigned i = 0; i < FillWords; i++) fill_q[i] <= '0;
    end else begin
      head_q <= head_d;
      tail_q <= tail_d;
      for (int unsigned i = 0; i < FillWords; i++) fill_q[i] <= fill_d[i];
    end
  end

  // ---- banks ----
  logic            [Columns-1:0] [7:0] head_check;
  logic [Banks-1:0][Columns-1:0][63:0] bank_data;
  logic [Banks-1:0][Columns-1:0] [7:0] bank_check;

  for (genvar b = 0; b < Banks; b++) begin : gen_bank
    logic bank_read;
    assign bank_read = read.valid && bank_of(read.address) == BankBits'(b);

    bank #(
      .Depth  (BankWords),
      .Columns(Columns)
    ) u_bank (
      .clk_i,
      .rst_ni,
      .read_i      (bank_read),
      .write_i     (write && bank_of(head_address) == BankBits'(b)),
      .address_i   (bank_read ? index_of(read.address) : index_of(head_address)),
      .data_i      (head_data),
      .check_i     (head_check),
      .read_data_o (bank_data[b]),
      .read_check_o(bank_check[b])
    );
  end

  // ---- the word: one cycle in the bank's register, one in the corrected ones ----
  bank_read_t                         read_d, read_q;
  bank_word_t                         word_d, word_q;
  logic         [WordAddressBits-1:0] word_address_d, word_address_q;
  logic                 [Columns-1:0] corrected, uncorrectable;
  logic                 [Columns-1:0] corrected_d, corrected_q, uncorrectable_d, uncorrectable_q;
  logic                [BankBits-1:0] word_bank;
  logic           [Columns-1:0][63:0] word_data;

  assign word_bank = bank_of(read_q.address);

  // It has done its part by then.
  logic unused_read;
  assign unused_read = read_q.streamed;

  for (genvar c = 0; c < Columns; c++) begin : gen_column
    logic [63:0] queue_d[FillWords], queue_q[FillWords];
    logic [63:0] decoded, word_data_d, word_data_q;

    always_comb begin
      queue_d = queue_q;
      if (accept) queue_d[tail_q] = fill_data[c];
    end

    assign head_data[c] = queue_q[head_q];
    secded_encode u_encode (
      .data_i (head_data[c]),
      .check_o(head_check[c])
    );

    secded_decode u_decode (
      .data_i         (bank_data[word_bank][c]),
      .check_i        (bank_check[word_bank][c]),
      .data_o         (decoded),
      .corrected_o    (corrected[c]),
      .uncorrectable_o(uncorrectable[c])
    );
    assign word_data_d  = read_q.valid ? decoded : word_data_q;
    assign word_data[c] = word_data_q;

    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        word_data_q <= '0;
        for (int unsigned i = 0; i < FillWords; i++) queue_q[i] <= '0;
      end else begin
        word_data_q <= word_data_d;
        for (int unsigned i = 0; i < FillWords; i++) queue_q[i] <= queue_d[i];
      end
    end
  end

  bank_fill_t written_d, written_q;

  always_comb begin
    read_d               = read;
    corrected_d          = '0;
    uncorrectable_d      = '0;
    word_address_d       = read_q.address;
    if (read_q.valid) begin
      corrected_d     = corrected;
      uncorrectable_d = uncorrectable;
    end
    word_d.valid         = read_q.valid;
    word_d.uncorrectable = |uncorrectable_d;
    written_d            = write ? head : '0;
  end

  // ---- counters, a cycle behind the word ----
  bank_errors_t errors_d, errors_q;

  // 16 bits that stay at their maximum, plus the ones of a vector.
  function automatic logic [15:0] counted(input logic [15:0] count, input logic [Columns-1:0] events);
    logic [16:0] total;
    total = {1'b0, count} + 17'($countones(events));
    return total[16] ? '1 : total[15:0];
  endfunction

  always_comb begin
    errors_d = clear_errors_i ? '0 : errors_q;
    if (word_q.uncorrectable && errors_d.uncorrectable == '0) begin
      errors_d.first_uncorrectable = word_address_q;
    end
    errors_d.corrected     = counted(errors_d.corrected, corrected_q);
    errors_d.uncorrectable = counted(errors_d.uncorrectable, uncorrectable_q);
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      read_q          <= '0;
      word_q          <= '0;
      word_address_q  <= '0;
      corrected_q     <= '0;
      uncorrectable_q <= '0;
      written_q       <= '0;
      errors_q        <= '0;
    end else begin
      read_q          <= read_d;
      word_q          <= word_d;
      word_address_q  <= word_address_d;
      corrected_q     <= corrected_d;
      uncorrectable_q <= uncorrectable_d;
      written_q       <= written_d;
      errors_q        <= errors_d;
    end
  end

  // ---- outputs ----
  assign word_o       = word_q;
  assign word_data_o  = word_data;
  assign fill_ready_o = !fill_q[tail_q].valid;
  assign written_o    = written_q;
  assign errors_o     = errors_q;

  // As many words wait as lie between head and tail: none was replaced, none written twice.
  logic [FillWords-1:0] waiting;
  for (genvar i = 0; i < FillWords; i++) begin : gen_waiting
    assign waiting[i] = fill_q[i].valid;
  end
  `TANDEM_INVARIANT(INV_GROUP_1, tail_q - head_q == 2'($countones(waiting)))

endmodule : bank_group
