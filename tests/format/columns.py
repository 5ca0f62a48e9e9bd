"""The columns of a sealed chunk: docs/format/chunk.md, executable. See reader.py beside this file."""

import struct

U64 = (1 << 64) - 1
MID = 1 << 63


class Damaged(Exception):
    """These bytes are not what the documents describe."""


def need(condition, what):
    if not condition:
        raise Damaged(what)


def signed(number):
    """The 64 bits as a signed number."""
    number &= U64
    return number - (1 << 64) if number & MID else number


def double(bits):
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


def bits_of(number):
    return struct.unpack("<Q", struct.pack("<d", number))[0]


class Bytes:
    """Bytes that are read one field after the other."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, count):
        need(count <= len(self.data) - self.at, "it ends early")
        self.at += count
        return self.data[self.at - count : self.at]

    def byte(self):
        return self.take(1)[0]

    def varint(self, most=64):
        number = 0
        for shift in range(0, 70, 7):
            byte = self.byte()
            number |= (byte & 127) << shift
            if byte < 128:
                need(number < 1 << most, "a varint is too large")
                return number
        raise Damaged("a varint is too long")

    def zigzag(self):
        number = self.varint()
        return (number >> 1) ^ -(number & 1)

    def rest(self):
        return self.take(len(self.data) - self.at)

    def ended(self):
        return self.at == len(self.data)


class Bits:
    """The bits of some bytes from the lowest up, from where a Bytes stands."""

    def __init__(self, source):
        self.source = source
        self.data = source.data
        self.at = source.at * 8

    def take(self, width):
        first = self.at >> 3
        window = int.from_bytes(self.data[first : first + 9], "little") >> (self.at & 7)
        self.at += width
        return window & ((1 << width) - 1)

    def scaled(self, field):
        width = self.take(field)
        need(width <= 64, "a number is too wide")
        return self.take(width - 1) | 1 << (width - 1) if width else 0

    def align(self):
        """Goes on at the next whole byte, and the Bytes with it."""
        self.at = (self.at + 7) & ~7
        need(self.at <= len(self.data) * 8, "it ends early")
        self.source.at = self.at >> 3


# --- pco -------------------------------------------------------------------------------------------


def ans_table(size_log, bins):
    """What each state of the tANS decoder stands for: bits to read, next state, lower, offset bits."""
    size = 1 << size_log
    need(sum(weight for weight, _, _ in bins) == size, "weights do not add up")
    stride = 3 * size // 5 | 1
    spread = [0] * size
    step = 0
    for which, (weight, _, _) in enumerate(bins):
        for _ in range(weight):
            spread[stride * step % size] = which
            step += 1
    counts = [weight for weight, _, _ in bins]
    table = []
    for which in spread:
        count = counts[which]
        counts[which] += 1
        width = size_log + 1 - count.bit_length()
        _, lower, offset_bits = bins[which]
        table.append((width, (count << width) - size, lower, offset_bits))
    return table


def batch(bits, table, states, count):
    """The next latents, 256 at the most, of one variable."""
    lowers = []
    widths = []
    for i in range(count):
        width, following, lower, offset_bits = table[states[i & 3]]
        states[i & 3] = following + (bits.take(width) if width else 0)
        lowers.append(lower)
        widths.append(offset_bits)
    return [
        lower + bits.take(width) if width else lower for lower, width in zip(lowers, widths)
    ]


def pco_numbers(source, count, size):
    """The numbers of a list of kind 2 or 3: a table of bins, a page."""
    bits = Bits(source)
    size_log = bits.take(4)
    need(size_log <= 14, "the table of states is too large")
    bin_count = bits.scaled(4) + 1
    need(bin_count <= 1 << size_log, "there are too many bins")
    gap, weight_field, offset_field = bits.take(3), bits.take(3), bits.take(3)
    bins = []
    lower = 0
    left = 1 << size_log
    for i in range(bin_count):
        lower = lower + bits.scaled(gap) & (1 << size) - 1
        offset_bits = bits.take(offset_field)
        need(offset_bits <= size, "an offset is too wide")
        weight = bits.scaled(weight_field) + 1 if i < bin_count - 1 else left
        left -= weight
        need(weight > 0 and left >= 0, "weights do not add up")
        bins.append((weight, lower, offset_bits))
    bits.align()
    table = ans_table(size_log, bins)
    states = [bits.take(size_log) for _ in range(4)]
    bits.align()
    numbers = []
    while len(numbers) < count:
        numbers += batch(bits, table, states, min(256, count - len(numbers)))
    bits.align()
    return [number & (1 << size) - 1 for number in numbers]


def pco_floats(source, count):
    """Form 6: chunk metadata and a page as pco writes them for f64. The values' bits."""
    bits = Bits(source)
    mode = bits.take(4)
    need(mode in (0, 2, 3), "an unknown mode")
    parameter = bits.take(64) if mode == 2 else bits.take(8) if mode == 3 else 0
    encoding = bits.take(4)
    need(encoding in (0, 1), "an unknown delta encoding")
    order, second_too = (bits.take(3), bits.take(1)) if encoding == 1 else (0, 0)
    need(order > 0 or encoding == 0, "deltas of order 0")
    variables = []
    for which in range(2 if mode else 1):
        size_log = bits.take(4)
        need(size_log <= 14, "the table of states is too large")
        bins = []
        for _ in range(bits.take(15)):
            weight = bits.take(size_log) + 1
            lower = bits.take(64)
            bins.append((weight, lower, bits.take(7)))
            need(bins[-1][2] <= 64 and bits.at <= len(bits.data) * 8, "a bad bin")
        table = ans_table(size_log, bins or [(1, 0, 0)])
        variables.append((size_log, table, order if which == 0 or second_too else 0))
    bits.align()

    state = []
    for size_log, table, own_order in variables:
        moments = [bits.take(64) for _ in range(own_order)]
        state.append((table, moments, [bits.take(size_log) for _ in range(4)]))
    bits.align()
    latents = [[] for _ in variables]
    for done in range(0, count, 256):
        here = min(256, count - done)
        for (table, moments, states), out in zip(state, latents):
            stored = max(0, min(256, count - done - len(moments)))
            numbers = batch(bits, table, states, stored) + [0] * (here - stored)
            out += undo_deltas(numbers, moments)
    bits.align()
    return join(mode, parameter, latents)


def undo_deltas(numbers, moments):
    """Sums up once for each moment, which go on from batch to batch."""
    if moments:
        numbers = [number + MID for number in numbers]
    for k in reversed(range(len(moments))):
        total = moments[k]
        sums = []
        for number in numbers:
            sums.append(total)
            total = total + number & U64
        moments[k] = total
        numbers = sums
    return [number & U64 for number in numbers]


def from_latent(latent):
    """The bits of the double that an ordered latent stands for."""
    return latent ^ MID if latent & MID else latent ^ U64


def to_latent(bits):
    return bits ^ U64 if bits & MID else bits ^ MID


def join(mode, parameter, latents):
    """The values' bits."""
    if mode == 0:
        return [from_latent(latent) for latent in latents[0]]
    if mode == 2:
        base = double(from_latent(parameter))
        return [
            from_latent(to_latent(bits_of(whole(first) * base)) + second + MID & U64)
            for first, second in zip(*latents)
        ]
    k = parameter
    need(0 < k <= 52, "a bad number of quantised bits")
    return [
        from_latent((first << k) + (second if first >= MID >> k else (1 << k) - 1 - second) & U64)
        for first, second in zip(*latents)
    ]


def whole(latent):
    """The whole double with this number: 0.0 is MID, -0.0 is MID - 1."""
    size = latent - MID if latent & MID else MID - 1 - latent
    most = 1 << 53
    number = float(size) if size < most else double((bits_of(float(most)) + size - most) & U64)
    return number if latent & MID else -number


# --- columns ---------------------------------------------------------------------------------------


def changes(data, decisions):
    """Whether each number differs from the one before."""
    chance = [32768] * 16
    seen = [0] * 16
    rate = [327680 // (10 * c + 16) for c in range(61)]
    code = int.from_bytes(data[:4].ljust(4, b"\0"), "big")
    at = 4
    span = (1 << 32) - 1
    context = 0
    answers = []
    for _ in range(decisions):
        p, c = chance[context], seen[context]
        bound = (span >> 12) * min(max(p >> 4, 8), 4088)
        differs = code < bound
        if differs:
            span = bound
        else:
            code -= bound
            span -= bound
        chance[context] = p + (((65535 if differs else 0) - p) * rate[c] >> 15)
        seen[context] = min(c + 1, 60)
        context = (context << 1 | differs) & 15
        while span < 1 << 24:
            code = (code << 8 | (data[at] if at < len(data) else 0)) & 0xFFFFFFFF
            at += 1
            span <<= 8
        answers.append(differs)
    return answers


def number_list(source, kind, count):
    """A list of `count` numbers."""
    if count == 0:
        need(kind == 0, "an empty list of another kind than 0")
        return []
    least = source.zigzag()
    if kind == 0:
        return [least] * count
    if kind == 1:
        width = source.byte()
        need(width <= 64, "a width of more than 64 bits")
        bits = Bits(source)
        numbers = [least + bits.take(width) for _ in range(count)]
        bits.align()
        return numbers
    return [least + number for number in pco_numbers(source, count, 32 if kind == 2 else 64)]


def run_lengths(source, kind, total, runs_less_1):
    """How long each run is, of runs that are `total` long together."""
    if kind == 3:
        lengths = [1]
        for differs in changes(source.rest(), total - 1):
            if differs:
                lengths.append(1)
            else:
                lengths[-1] += 1
        need(len(lengths) == runs_less_1 + 1, "another number of runs")
        return lengths
    lengths = [signed(less_1) + 1 for less_1 in number_list(source, kind, runs_less_1)]
    lengths.append(total - sum(lengths))
    need(min(lengths) > 0, "runs that are too long")
    return lengths


def sums(start, steps):
    """`start`, and it with each further step added."""
    out = [start]
    for step in steps:
        out.append(out[-1] + step & U64)
    return out


def planned(source, count):
    """The integers w of a body."""
    need(count > 1, "a plan for one sample")
    byte = source.byte()
    plan, main, lengths = byte >> 4, byte >> 2 & 3, byte & 3
    need(plan <= 6, "an unknown plan")
    need(lengths == 0 or plan >= 3, "a kind of lengths where there are none")
    if plan == 0:
        return [0] + number_list(source, main, count - 1)
    if plan == 1:
        return sums(0, number_list(source, main, count - 1))
    if plan == 2:
        first = source.zigzag()
        return sums(0, sums(first, number_list(source, main, count - 2)))
    runs_less_1 = source.varint()
    total = count if plan <= 4 else count - 1
    need(runs_less_1 < total, "more runs than numbers")
    if plan == 3:
        levels = [0] + number_list(source, main, runs_less_1)
    elif plan == 4:
        levels = sums(0, number_list(source, main, runs_less_1))
    elif plan == 5:
        levels = number_list(source, main, runs_less_1 + 1)
    else:
        first = source.zigzag()
        levels = sums(first, number_list(source, main, runs_less_1))
    numbers = []
    for level, length in zip(levels, run_lengths(source, lengths, total, runs_less_1)):
        numbers += [level] * length
    return numbers if plan <= 4 else sums(0, numbers)


def values(column, count):
    """The bits of the doubles of a column of values."""
    source = Bytes(column)
    first = source.byte()
    form = first & 15
    need(first & 0xC0 == 0 and form <= 6, "an unknown form")
    if form == 6:
        need(first == 6, "an unknown form")
        bits = pco_floats(source, count)
        need(source.ended(), "bytes are left over")
        return bits

    parameter = source.varint() if form in (1, 2, 3, 4) else 0
    others = read_others(source) if first & 0x20 else []
    base = source.zigzag()
    step = source.zigzag() if first & 0x10 else 1
    w = [0] * count if source.ended() else planned(source, count)
    need(source.ended(), "bytes are left over")
    integers = [signed(base + step * number) for number in w]

    if form == 5:
        bits = [(n ^ ((n >> 63) & U64) >> 1) & U64 for n in integers]
    else:
        need(form == 0 or parameter > 0, "a parameter of 0")
        if form == 0:
            numbers = [float(n) for n in integers]
        elif form == 1:
            tens = float(f"1e{parameter}")
            numbers = [float(n) / tens for n in integers]
        elif form == 2:
            divisor = float(parameter)
            numbers = [float(n) / divisor for n in integers]
        elif form == 3:
            divisor = float(parameter)
            numbers = [float(n) / divisor * 100.0 for n in integers]
        else:
            tenth = float(f"1e-{parameter}")
            numbers = [float(n) * tenth for n in integers]
        bits = list(struct.unpack(f"<{count}Q", struct.pack(f"<{count}d", *numbers)))
    for start, length, pattern in others:
        need(start + length <= count, "others after the end")
        bits[start : start + length] = [pattern] * length
    return bits


def read_others(source):
    """Runs of values that the form cannot express: where, how many, which bits."""
    patterns = []
    for _ in range(source.varint() + 1):
        patterns.append(struct.unpack("<Q", source.take(8))[0])
    runs = []
    end = 0
    for _ in range(source.varint() + 1):
        start = end + source.varint()
        end = start + source.varint() + 1
        which = source.varint() if len(patterns) > 1 else 0
        need(which < len(patterns), "others of an unknown pattern")
        runs.append((start, end - start, patterns[which]))
    return runs


def timestamps(column, count):
    """The milliseconds of a column of timestamps."""
    source = Bytes(column)
    kind, start, step = source.byte(), source.zigzag(), source.varint()
    if kind == 0:
        numbers = range(count)
    elif kind == 1:
        left_out = {}
        at = 0
        for _ in range(source.varint() + 1):
            at += source.varint()
            left_out[at] = source.zigzag()
        need(at < count - 1, "a gap after the end")
        numbers = sums(0, [1 + left_out.get(i, 0) for i in range(count - 1)])
    elif kind == 2:
        numbers = planned(source, count)
    else:
        raise Damaged("an unknown kind of timestamps")
    need(source.ended(), "bytes are left over")
    return [signed(start + step * number) for number in numbers]
