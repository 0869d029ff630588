// SPDX-License-Identifier: Apache-2.0
// Writes what the lanes compute to memory: as binary32, or in blocks of MXINT8 or MXFP4 with their scale bytes. The first
// half of a block waits for the second, both are quantised together; of MXFP4 the first block of a pair waits for the
// second. What is to be written goes through a FIFO and leaves it as writes of one word with strobes: elements, then the
// scale byte. One write per cycle; a word of results is offered 2 cycles after it came, a block 5 cycles after its second
// half.
`include "tandem_assert.svh"

module vector_writer
  import tandem_pkg::*;
#(
  localparam int unsigned Columns         = AxiBytes / 8,
  localparam int unsigned HalfBytes       = AxiBytes / 2,
  localparam int unsigned HalfBits        = AxiAddressBits - 5,  // of an address in halves of a word
  localparam int unsigned Holds           = 8,                   // blocks that wait for their second half
  localparam int unsigned Pairs           = 2,                   // pairs that wait for their second block
  localparam int unsigned Stages          = 3,                   // of block_quantiser
  localparam int unsigned Depth           = 64,                  // of the FIFO
  localparam int unsigned DepthBits       = $clog2(Depth),
  localparam int unsigned Coming          = 32,                  // words that may come while it is ready
  localparam int unsigned OutstandingBits = 7                    // of the number of writes without a response
) (
  input  logic                                clk_i,
  input  logic                                rst_ni,
  input  logic                                start_i,         // clears failed and overflow
  input  form_e                               form_i,
  input  logic                          [3:0] stride_i,        // words of results from a group to the next
  input  vector_place_t                       place_i,         // of words that come in later cycles
  input  logic           [AxiAddressBits-1:0] place_scales_i,  // goes with it
  input  vector_word_t                        word_i,
  input  float_t         [GroupFloats-1:0]    y_i,
  input  logic                                direct_valid_i,  // a word that is written as it is
  input  logic                 [LineBits-1:0] direct_line_i,
  input  logic        [GroupFloats-1:0][31:0] direct_data_i,
  output logic                                ready_o,         // there is room for so many more words
  output write_request_t                      write_request_o,
  input  logic                                write_request_ready_i,
  output logic                                write_valid_o,
  output logic                 [AxiBytes-1:0] write_strobe_o,
  output logic            [AxiBytes-1:0][7:0] write_data_o,
  input  logic                                write_ready_i,
  input  write_done_t                         write_done_i,
  output logic                                idle_o,          // all is written
  output logic                                failed_o,        // something could not be written
  output logic                                overflow_o       // something was clamped to binary32
);

  // A block on its way through the quantiser.
  typedef struct packed {
    logic                valid;
    logic                fp4;
    logic                second;    // of a pair
    logic                pair;      // where it waits
    logic [HalfBits-1:0] position;  // of its elements, or of its pair's
  } block_t;

  // What is written of an entry of the FIFO.
  typedef struct packed {
    logic                whole;     // a whole word, else half of it
    logic                elements;  // anything but a scale
    logic                scaled;    // a scale
    logic [HalfBits-1:0] position;  // of the elements
  } entry_t;

  typedef struct packed {
    logic                [7:0] code;
    logic [AxiAddressBits-1:0] address;
  } scale_t;

  // By unit.
  logic [VectorUnits-1:0][HalfBits-1:0]       base_d, base_q;
  logic [VectorUnits-1:0][AxiAddressBits-1:0] scales_d, scales_q;
  // A word that came, and what was known of it then.
  logic                                       word_valid_d, word_valid_q;  // it is of a block
  logic                                       whole_valid_d, whole_valid_q;  // it is written as it is
  logic                                       fp4_d, fp4_q;
  logic                                 [2:0] hold_d, hold_q;
  logic                                [15:0] group_d, group_q;
  logic                        [HalfBits-1:0] place_base_d, place_base_q;
  logic                  [AxiAddressBits-1:0] place_scales_d, place_scales_q;
  logic              [GroupFloats-1:0][31:0] data_d, data_q;
  // Blocks in the quantiser, the youngest first.
  block_t          [Stages-1:0]                 block_d, block_q;
  logic            [Stages-1:0][AxiAddressBits-1:0] scale_address_d, scale_address_q;
  logic            [Pairs-1:0][HalfBytes-1:0][3:0] low_d, low_q;  // codes of first blocks
  // The FIFO: the next entry, which is requested next, and which is given next, and whether its scale is.
  logic                         [DepthBits:0] push_d, push_q, ask_d, ask_q, give_d, give_q;
  logic                                       ask_scale_d, ask_scale_q, give_scale_d, give_scale_q;
  logic                 [OutstandingBits-1:0] outstanding_d, outstanding_q;
  logic                                       failed_d, failed_q, overflow_d, overflow_q;
  entry_t                                     entry_q[Depth];
  scale_t                                     scale_q[Depth];

  // ---- what came, as binary32 ----
  logic [GroupFloats-1:0][31:0] numbers;
  logic                         clamped;
  always_comb begin
    clamped = 1'b0;
    for (int unsigned l = 0; l < GroupFloats; l++) begin
      logic one_clamped;
      {one_clamped, numbers[l]} = narrow(y_i[l]);
      clamped = clamped || one_clamped;
    end
  end

  logic unused_hi;
  assign unused_hi = word_i.hi;

  always_comb begin
    base_d         = base_q;
    scales_d       = scales_q;
    word_valid_d   = word_i.valid && form_i != FormResults;
    whole_valid_d  = direct_valid_i || (word_i.valid && form_i == FormResults);
    fp4_d          = fp4_q;
    hold_d         = hold_q;
    group_d        = group_q;
    place_base_d   = place_base_q;
    place_scales_d = place_scales_q;
    data_d         = data_q;
    overflow_d     = (overflow_q && !start_i) || (word_i.valid && clamped);

    if (place_i.valid) begin
      base_d[place_i.unit]   = place_i.base;
      scales_d[place_i.unit] = place_scales_i;
    end
    if (word_i.valid) begin
      fp4_d          = form_i == FormFp4;
      hold_d         = word_i.hold;
      group_d        = word_i.group;
      place_base_d   = base_q[word_i.unit];
      place_scales_d = scales_q[word_i.unit];
      data_d         = numbers;
      if (form_i == FormResults) begin
        place_base_d = place_base_d + (HalfBits'(word_i.group * 20'(stride_i)) << 1);
      end
    end
    if (direct_valid_i) begin
      place_base_d = {direct_line_i, 1'b0};
      data_d       = direct_data_i;
    end
  end

  // ---- first halves wait, second ones take them along ----
  logic                         first_half, second_half;
  logic [Columns-1:0][63:0]     columns, waiting;
  logic [2*GroupFloats-1:0][31:0] values;
  logic                  [14:0] number;  // of the block
  assign first_half  = word_valid_q && !group_q[0];
  assign second_half = word_valid_q && group_q[0];
  assign columns     = data_q;
  assign number      = group_q[15:1];
  assign values      = {columns, waiting};

  for (genvar c = 0; c < Columns; c++) begin : gen_hold
    logic [63:0] hold_data_q[Holds];
    always_ff @(posedge clk_i) begin
      if (first_half && rst_ni) hold_data_q[hold_q] <= columns[c];
    end
    assign waiting[c] = hold_data_q[hold_q];
  end

  logic                       quantised;
  logic                 [7:0] scale;
  logic [HalfBytes-1:0] [7:0] codes;
  block_quantiser u_quantiser (
    .clk_i,
    .rst_ni,
    .valid_i (second_half),
    .int8_i  (!fp4_q),
    .values_i(values),
    .valid_o (quantised),
    .scale_o (scale),
    .codes_o (codes)
  );

  always_comb begin
    for (int unsigned i = 0; i < Stages; i++) begin
      block_d[i]         = i == 0 ? '0 : block_q[i-1];
      scale_address_d[i] = i == 0 ? '0 : scale_address_q[i-1];
    end
    if (second_half) begin
      block_d[0] = '{
        valid: 1'b1,
        fp4: fp4_q,
        second: number[0],
        pair: number[1],
        position: place_base_q + HalfBits'(fp4_q ? {1'b0, number[14:1]} : number)
      };
      scale_address_d[0] = place_scales_q + AxiAddressBits'(number);
    end
  end

  // ---- what is to be written ----
  block_t                     block;
  logic                       push;
  entry_t                     entry;
  scale_t                     entry_scale;
  logic [HalfBytes-1:0] [7:0] elements;
  logic [Columns-1:0]  [63:0] entry_columns;
  assign block = block_q[Stages-1];
  always_comb begin
    low_d    = low_q;
    elements = codes;
    for (int unsigned i = 0; i < HalfBytes; i++) begin
      if (block.valid && block.fp4) elements[i] = {codes[i][3:0], low_q[block.pair][i]};
      if (block.valid && block.fp4 && !block.second) low_d[block.pair][i] = codes[i][3:0];
    end
    push          = block.valid || whole_valid_q;
    entry         = '{whole: 1'b1, elements: 1'b1, scaled: 1'b0, position: place_base_q};
    entry_scale   = '0;
    entry_columns = columns;
    if (block.valid) begin
      entry         = '{
        whole: 1'b0,
        elements: !block.fp4 || block.second,
        scaled: 1'b1,
        position: block.position
      };
      entry_scale   = '{code: scale, address: scale_address_q[Stages-1]};
      entry_columns = {2{elements}};
    end
  end

  always_ff @(posedge clk_i) begin
    if (push && rst_ni) entry_q[push_q[DepthBits-1:0]] <= entry;
  end
  always_ff @(posedge clk_i) begin
    if (push && rst_ni) scale_q[push_q[DepthBits-1:0]] <= entry_scale;
  end

  logic [Columns-1:0][63:0] given;
  for (genvar c = 0; c < Columns; c++) begin : gen_column
    logic [63:0] word_q[Depth];
    always_ff @(posedge clk_i) begin
      if (push && rst_ni) word_q[push_q[DepthBits-1:0]] <= entry_columns[c];
    end
    assign given[c] = word_q[give_q[DepthBits-1:0]];
  end

  // ---- writes: requests and data are taken each on their own ----
  entry_t ask_entry, give_entry;
  scale_t ask_entry_scale, give_entry_scale;
  logic   asks_scale, gives_scale, ask_taken, give_taken, ask_ends, give_ends;
  assign ask_entry        = entry_q[ask_q[DepthBits-1:0]];
  assign ask_entry_scale  = scale_q[ask_q[DepthBits-1:0]];
  assign give_entry       = entry_q[give_q[DepthBits-1:0]];
  assign give_entry_scale = scale_q[give_q[DepthBits-1:0]];
  logic unused_entry;
  assign unused_entry     = ^{ask_entry.whole, ask_entry_scale.code};
  assign asks_scale       = ask_scale_q || !ask_entry.elements;
  assign gives_scale      = give_scale_q || !give_entry.elements;
  assign ask_taken        = write_request_o.valid && write_request_ready_i;
  assign give_taken       = write_valid_o && write_ready_i;
  assign ask_ends         = ask_taken && (asks_scale || !ask_entry.scaled);
  assign give_ends        = give_taken && (gives_scale || !give_entry.scaled);
  always_comb begin
    push_d        = push_q + (DepthBits + 1)'(push);
    ask_d         = ask_q + (DepthBits + 1)'(ask_ends);
    give_d        = give_q + (DepthBits + 1)'(give_ends);
    ask_scale_d   = ask_taken ? !ask_ends : ask_scale_q;
    give_scale_d  = give_taken ? !give_ends : give_scale_q;
    outstanding_d = outstanding_q + OutstandingBits'(ask_taken) - OutstandingBits'(write_done_i.valid);
    failed_d      = (failed_q && !start_i) || (write_done_i.valid && write_done_i.error);
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      base_q          <= '0;
      scales_q        <= '0;
      word_valid_q    <= '0;
      whole_valid_q   <= '0;
      fp4_q           <= '0;
      hold_q          <= '0;
      group_q         <= '0;
      place_base_q    <= '0;
      place_scales_q  <= '0;
      data_q          <= '0;
      block_q         <= '0;
      scale_address_q <= '0;
      low_q           <= '0;
      push_q          <= '0;
      ask_q           <= '0;
      give_q          <= '0;
      ask_scale_q     <= '0;
      give_scale_q    <= '0;
      outstanding_q   <= '0;
      failed_q        <= '0;
      overflow_q      <= '0;
    end else begin
      base_q          <= base_d;
      scales_q        <= scales_d;
      word_valid_q    <= word_valid_d;
      whole_valid_q   <= whole_valid_d;
      fp4_q           <= fp4_d;
      hold_q          <= hold_d;
      group_q         <= group_d;
      place_base_q    <= place_base_d;
      place_scales_q  <= place_scales_d;
      data_q          <= data_d;
      block_q         <= block_d;
      scale_address_q <= scale_address_d;
      low_q           <= low_d;
      push_q          <= push_d;
      ask_q           <= ask_d;
      give_q          <= give_d;
      ask_scale_q     <= ask_scale_d;
      give_scale_q    <= give_scale_d;
      outstanding_q   <= outstanding_d;
      failed_q        <= failed_d;
      overflow_q      <= overflow_d;
    end
  end

  // Entries that are not both requested and given.
  logic [DepthBits:0] unasked, ungiven, held;
  assign unasked = push_q - ask_q;
  assign ungiven = push_q - give_q;
  assign held    = unasked > ungiven ? unasked : ungiven;

  logic moving;
  always_comb begin
    moving = word_valid_q || whole_valid_q;
    for (int unsigned i = 0; i < Stages; i++) moving = moving || block_q[i].valid;
  end

  // Of what is not in the FIFO yet there is one entry per stage at most.
  assign ready_o               = held <= (DepthBits + 1)'(Depth - Coming - Stages - 1);
  // What is not offered is 0: the memories may never have been written.
  always_comb begin
    write_request_o = '0;
    write_valid_o   = ungiven != '0;
    write_data_o    = '0;
    write_strobe_o  = '0;
    if (unasked != '0 && outstanding_q != '1) begin
      write_request_o.valid   = 1'b1;
      write_request_o.words   = 8'd1;
      write_request_o.address = asks_scale ? ask_entry_scale.address : {ask_entry.position, 5'd0};
      write_request_o.address[5:0] = '0;
    end
    if (write_valid_o) begin
      write_data_o   = given;
      write_strobe_o = '1;
      if (!give_entry.whole) begin
        write_strobe_o = {{HalfBytes{give_entry.position[0]}}, {HalfBytes{!give_entry.position[0]}}};
      end
      if (gives_scale) begin
        write_data_o   = {AxiBytes{give_entry_scale.code}};
        write_strobe_o = AxiBytes'(1) << give_entry_scale.address[5:0];
      end
    end
  end
  assign idle_o     = !moving && held == '0 && outstanding_q == '0;
  assign failed_o   = failed_q;
  assign overflow_o = overflow_q;

  `TANDEM_INVARIANT(INV_STORES_1, !(word_i.valid && direct_valid_i))
  `TANDEM_INVARIANT(INV_STORES_2, !(block.valid && whole_valid_q))
  `TANDEM_INVARIANT(INV_STORES_3, held <= (DepthBits + 1)'(Depth))
  `TANDEM_INVARIANT(INV_STORES_4, !write_done_i.valid || outstanding_q != '0)
  `TANDEM_INVARIANT(INV_STORES_5, quantised == block.valid)
  `TANDEM_INVARIANT(INV_STORES_6, !word_i.valid || form_i != FormResults || !base_q[word_i.unit][0])

endmodule : vector_writer
