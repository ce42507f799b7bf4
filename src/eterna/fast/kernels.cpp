// Fused row operations for training on a CPU: what torch would do in five to ten passes over memory, in one.
//
// Plain pointers in, nothing allocated, no torch headers: built by build.py with the machine's own compiler and called
// through ctypes. Activations are float or, with HALF defined, bfloat16; sums and the residual stream are float.
// Threads share rows out in fixed parts, and no sum crosses a thread, so results do not depend on their number.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

struct bf16 {
    uint16_t bits;
};

#ifdef HALF
typedef bf16 T;  // of activations
#else
typedef float T;
#endif

static inline float get(float value) { return value; }
static inline float get(bf16 value) { return __builtin_bit_cast(float, uint32_t(value.bits) << 16); }
static inline void put(float& to, float value) { to = value; }
static inline void put(bf16& to, float value) {  // to nearest, ties to even; a NaN stays one
    uint32_t bits = __builtin_bit_cast(uint32_t, value);
    uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    to.bits = uint16_t((bits & 0x7fffffffu) > 0x7f800000u ? 0x7fc0u : rounded);
}

// Integers in the order of the floats, and back: of these a compiler takes the largest of several at a time.
static inline int32_t ordered(float value) {
    int32_t bits = __builtin_bit_cast(int32_t, value);
    return bits ^ ((bits >> 31) & 0x7fffffff);
}
static inline float from_ordered(int32_t key) { return __builtin_bit_cast(float, key ^ ((key >> 31) & 0x7fffffff)); }

// exp in float: argument split by ln 2 in two parts (Cody and Waite), polynomial of degree 6; error about 1 ulp.
static inline float exp_of(float x) {
    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    float n = __builtin_rintf(x * 1.44269504f);
    float r = x - n * 0.693359375f + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    return p * __builtin_bit_cast(float, (int32_t(n) + 127) << 23);
}

// 32 random bits for element `i` of the stream `seed`: two keyed rounds of an integer hash with avalanche.
static inline uint32_t random_bits(uint32_t i, uint32_t low, uint32_t high) {
    uint32_t x = i * 0x9e3779b9u ^ low;
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= x >> 15;
    x ^= high;
    x *= 0x846ca68bu;
    x ^= x >> 16;
    x *= 0x2c1b3c6du;
    x ^= x >> 15;
    return x;
}

enum { SILU = 0, GELU_TANH = 1 };

// act(x) and its derivative.
static inline void activate(int kind, float x, float& value, float& slope) {
    if (kind == SILU) {
        float s = 1.0f / (1.0f + exp_of(-x));
        value = x * s;
        slope = s * (1.0f + x * (1.0f - s));
    } else {
        const float c = 0.7978845608f, d = 0.044715f;
        float t = 1.0f - 2.0f / (exp_of(2.0f * c * (x + d * x * x * x)) + 1.0f);
        value = 0.5f * x * (1.0f + t);
        slope = 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * c * (1.0f + 3.0f * d * x * x);
    }
}

#define ROWS _Pragma("omp parallel for schedule(static) if (rows * width > 16384)")
#define SIMD _Pragma("omp simd")
#define SUM(name) _Pragma(name)

static inline float largest(const T* values, int64_t count) {
    int32_t top = INT32_MIN;
    SUM("omp simd reduction(max : top)")
    for (int64_t j = 0; j < count; j++) top = ordered(get(values[j])) > top ? ordered(get(values[j])) : top;
    return from_ordered(top);
}

// total = h + delta (delta may be null: total is h then and not written); y = total / rms(total) * (w + offset).
extern "C" void add_norm(const float* h, const T* delta, const float* w, float offset, float eps, int64_t rows,
                     int64_t width, float* total, T* y, float* rstd) {
    ROWS for (int64_t row = 0; row < rows; row++) {
        const float* from = h + row * width;
        float square = 0.0f;
        if (delta) {
            const T* add = delta + row * width;
            float* to = total + row * width;
            SUM("omp simd reduction(+ : square)")
            for (int64_t j = 0; j < width; j++) {
                float value = from[j] + get(add[j]);
                to[j] = value;
                square += value * value;
            }
            from = to;
        } else {
            SUM("omp simd reduction(+ : square)")
            for (int64_t j = 0; j < width; j++) square += from[j] * from[j];
        }
        float scale = 1.0f / std::sqrt(square / float(width) + eps);
        rstd[row] = scale;
        T* out = y + row * width;
        SIMD for (int64_t j = 0; j < width; j++) put(out[j], from[j] * scale * (w[j] + offset));
    }
}

// dx = d(norm)/d(total) applied to dy, plus dtotal where given; dlow, where given, is dx in the activations' type.
extern "C" void norm_backward(const T* dy, const float* dtotal, const float* total, const float* w, float offset,
                          const float* rstd, int64_t rows, int64_t width, float* dx, T* dlow) {
    ROWS for (int64_t row = 0; row < rows; row++) {
        const T* g = dy + row * width;
        const float* x = total + row * width;
        float* out = dx + row * width;
        float scale = rstd[row], dot = 0.0f;
        SUM("omp simd reduction(+ : dot)")
        for (int64_t j = 0; j < width; j++) dot += get(g[j]) * (w[j] + offset) * x[j];
        float pull = dot * scale * scale * scale / float(width);
        if (dtotal) {
            const float* add = dtotal + row * width;
            SIMD for (int64_t j = 0; j < width; j++)
                out[j] = get(g[j]) * (w[j] + offset) * scale - x[j] * pull + add[j];
        } else {
            SIMD for (int64_t j = 0; j < width; j++) out[j] = get(g[j]) * (w[j] + offset) * scale - x[j] * pull;
        }
        if (dlow) {
            T* low = dlow + row * width;
            SIMD for (int64_t j = 0; j < width; j++) put(low[j], out[j]);
        }
    }
}

// dw[j] = sum over rows of dy * total * rstd; threads share the columns out, each in blocks of 64.
extern "C" void norm_weight(const T* dy, const float* total, const float* rstd, int64_t rows, int64_t width, float* dw) {
    int64_t blocks = (width + 63) / 64;
    _Pragma("omp parallel for schedule(static)") for (int64_t block = 0; block < blocks; block++) {
        int64_t first = block * 64, count = width - first < 64 ? width - first : 64;
        float sums[64] = {};
        for (int64_t row = 0; row < rows; row++) {
            const T* g = dy + row * width + first;
            const float* x = total + row * width + first;
            float scale = rstd[row];
            SIMD for (int64_t j = 0; j < count; j++) sums[j] += get(g[j]) * x[j] * scale;
        }
        for (int64_t j = 0; j < count; j++) dw[first + j] = sums[j];
    }
}

// Rows of (heads * size) to one block for each sequence, [heads, padded length, size], rotated where cos is given
// (half-split rotary embedding); rows of padding become zero. starts and padded: count + 1 offsets each.
extern "C" void pack(const T* x, const float* cos, const float* sin, const int64_t* starts,
                 const int64_t* padded, int64_t count, int64_t heads, int64_t size, T* out) {
    int64_t half = size / 2, stride = heads * size;
    _Pragma("omp parallel for schedule(static) collapse(2)") for (int64_t seq = 0; seq < count; seq++)
        for (int64_t head = 0; head < heads; head++) {
            int64_t length = starts[seq + 1] - starts[seq], room = padded[seq + 1] - padded[seq];
            T* to = out + padded[seq] * heads * size + head * room * size;
            for (int64_t t = 0; t < length; t++) {
                int64_t row = starts[seq] + t;
                const T* from = x + row * stride + head * size;
                T* target = to + t * size;
                if (cos) {
                    const float *c = cos + row * size, *s = sin + row * size;
                    SIMD for (int64_t j = 0; j < half; j++) {
                        float a = get(from[j]), b = get(from[j + half]);
                        put(target[j], a * c[j] - b * s[j]);
                        put(target[j + half], b * c[j + half] + a * s[j + half]);
                    }
                } else {
                    std::memcpy(target, from, size * sizeof(T));
                }
            }
            std::memset(to + length * size, 0, (room - length) * size * sizeof(T));
        }
}

// The way back: blocks to rows; with cos given, the gradient of the rotation. Rows of no sequence are not written.
extern "C" void unpack(const T* x, const float* cos, const float* sin, const int64_t* starts, const int64_t* padded,
                   int64_t count, int64_t heads, int64_t size, T* out) {
    int64_t half = size / 2, stride = heads * size;
    _Pragma("omp parallel for schedule(static) collapse(2)") for (int64_t seq = 0; seq < count; seq++)
        for (int64_t head = 0; head < heads; head++) {
            int64_t length = starts[seq + 1] - starts[seq], room = padded[seq + 1] - padded[seq];
            const T* from = x + padded[seq] * heads * size + head * room * size;
            for (int64_t t = 0; t < length; t++) {
                int64_t row = starts[seq] + t;
                T* to = out + row * stride + head * size;
                const T* source = from + t * size;
                if (cos) {
                    const float *c = cos + row * size, *s = sin + row * size;
                    SIMD for (int64_t j = 0; j < half; j++) {
                        float a = get(source[j]), b = get(source[j + half]);
                        put(to[j], a * c[j] + b * s[j + half]);
                        put(to[j + half], b * c[j + half] - a * s[j]);
                    }
                } else {
                    std::memcpy(to, source, size * sizeof(T));
                }
            }
        }
}

// Which keys a row of scores sees, as places in the row. Its query is the (row % block)-th of `block` queries, of which
// the first is `offset` keys after the row's first; it sees the last `window` keys up to itself, and from `length` on
// queries are padding that sees nothing.
struct Seen {
    int64_t begin, end;
    Seen(int64_t row, int64_t block, int64_t offset, int64_t length, int64_t window) {
        int64_t at = row % block + offset;
        end = at < length ? at + 1 : 0;
        begin = end > window ? end - window : 0;
    }
};

// In place, on rows of scores: softmax of scale * score over the keys that are seen; everything else becomes zero.
extern "C" void softmax(T* scores, int64_t rows, int64_t width, int64_t block, int64_t offset, int64_t length,
                        int64_t window, float scale) {
    _Pragma("omp parallel if (rows * width > 16384)") {
        std::vector<float> room(width);  // for the exponentials of one row
        float* e = room.data();
        _Pragma("omp for schedule(static)") for (int64_t row = 0; row < rows; row++) {
            T* p = scores + row * width;
            Seen seen(row, block, offset, length, window);
            int64_t edge = seen.end + 15 < width ? seen.end + 15 : width;
            edge -= (edge - seen.begin) % 16;  // whole vectors: their last elements count for nothing
            for (int64_t j = seen.end; j < edge; j++) put(p[j], -INFINITY);
            if (edge < seen.end) edge = seen.end;
            float top = largest(p + seen.begin, edge - seen.begin), sum = 0.0f;
            SUM("omp simd reduction(+ : sum)")
            for (int64_t j = seen.begin; j < edge; j++) sum += e[j] = exp_of((get(p[j]) - top) * scale);
            float share = 1.0f / sum;
            SIMD for (int64_t j = seen.begin; j < seen.end; j++) put(p[j], e[j] * share);
            for (int64_t j = 0; j < seen.begin; j++) put(p[j], 0.0f);
            for (int64_t j = seen.end; j < width; j++) put(p[j], 0.0f);
        }
    }
}

// In place on dp: ds = scale * p * (dp - sum(dp * p)), zero where p was not computed.
extern "C" void softmax_backward(T* dp, const T* p, int64_t rows, int64_t width, int64_t block, int64_t offset,
                                 int64_t length, int64_t window, float scale) {
    ROWS for (int64_t row = 0; row < rows; row++) {
        T* g = dp + row * width;
        const T* q = p + row * width;
        Seen seen(row, block, offset, length, window);
        float dot = 0.0f;
        SUM("omp simd reduction(+ : dot)")
        for (int64_t j = seen.begin; j < seen.end; j++) dot += get(g[j]) * get(q[j]);
        SIMD for (int64_t j = seen.begin; j < seen.end; j++) put(g[j], scale * get(q[j]) * (get(g[j]) - dot));
        for (int64_t j = 0; j < seen.begin; j++) put(g[j], 0.0f);
        for (int64_t j = seen.end; j < width; j++) put(g[j], 0.0f);
    }
}

// z = act(gate) * up.
template <int kind>
static void gated_rows(const T* gate, const T* up, int64_t rows, int64_t width, T* z) {
    ROWS for (int64_t row = 0; row < rows; row++)
        SIMD for (int64_t i = row * width; i < (row + 1) * width; i++) {
            float value, slope;
            activate(kind, get(gate[i]), value, slope);
            put(z[i], value * get(up[i]));
        }
}

template <int kind>
static void gated_backward_rows(const T* dz, const T* gate, const T* up, int64_t rows, int64_t width, T* dgate,
                                T* dup) {
    ROWS for (int64_t row = 0; row < rows; row++)
        SIMD for (int64_t i = row * width; i < (row + 1) * width; i++) {
            float value, slope, g = get(dz[i]);
            activate(kind, get(gate[i]), value, slope);
            float u = get(up[i]);
            put(dgate[i], g * u * slope);
            put(dup[i], g * value);
        }
}

extern "C" void gated(const T* gate, const T* up, int kind, int64_t rows, int64_t width, T* z) {
    kind == SILU ? gated_rows<SILU>(gate, up, rows, width, z) : gated_rows<GELU_TANH>(gate, up, rows, width, z);
}

extern "C" void gated_backward(const T* dz, const T* gate, const T* up, int kind, int64_t rows, int64_t width, T* dgate,
                           T* dup) {
    kind == SILU ? gated_backward_rows<SILU>(dz, gate, up, rows, width, dgate, dup)
                 : gated_backward_rows<GELU_TANH>(dz, gate, up, rows, width, dgate, dup);
}

// y = x with each element dropped whose 16 bits are at least `keep`, the others times `scale`; added to y if `add`.
// One hash serves two elements of a row: the low half of its bits for column j, the high half for column j + half.
template <bool add>
static void dropout_rows(const T* x, int64_t rows, int64_t width, uint64_t seed, uint32_t keep, float scale, T* y) {
    int32_t half = int32_t((width + 1) / 2), rest = int32_t(width) - half;
    ROWS for (int64_t row = 0; row < rows; row++) {
        uint64_t first = uint64_t(row) * uint64_t(half);
        uint32_t low = uint32_t(seed), high = uint32_t(seed >> 32) ^ (uint32_t(first >> 32) * 0x9e3779b9u);
        uint32_t base = uint32_t(first);
        const T *from = x + row * width, *later = from + half;
        T *to = y + row * width, *last = to + half;
        SIMD for (int32_t j = 0; j < rest; j++) {
            uint32_t bits = random_bits(base + uint32_t(j), low, high);
            float one = (bits & 0xffffu) < keep ? get(from[j]) * scale : 0.0f;
            float other = (bits >> 16) < keep ? get(later[j]) * scale : 0.0f;
            put(to[j], add ? get(to[j]) + one : one);
            put(last[j], add ? get(last[j]) + other : other);
        }
        if (rest < half) {
            float one = (random_bits(base + uint32_t(rest), low, high) & 0xffffu) < keep ? get(from[rest]) * scale : 0.0f;
            put(to[rest], add ? get(to[rest]) + one : one);
        }
    }
}

extern "C" void dropout(const T* x, int64_t rows, int64_t width, const uint64_t* drawn, uint32_t keep, float scale,
                        int add, T* y) {
    add ? dropout_rows<true>(x, rows, width, *drawn, keep, scale, y)
        : dropout_rows<false>(x, rows, width, *drawn, keep, scale, y);
}

// Weighted cross-entropy of each row and, in place of the logits, its gradient.
// Smoothing e: target (1 - e) * one-hot + e / width.
extern "C" void cross_entropy(T* logits, const int64_t* targets, const float* weights, float smoothing, int64_t rows,
                          int64_t width, float* losses) {
    ROWS for (int64_t row = 0; row < rows; row++) {
        T* z = logits + row * width;
        float top = largest(z, width), sum = 0.0f, all = 0.0f, weight = weights[row], truth = get(z[targets[row]]);
        SUM("omp simd reduction(+ : sum, all)")
        for (int64_t j = 0; j < width; j++) {
            float value = get(z[j]);
            sum += exp_of(value - top);
            all += value;
        }
        float log_sum = top + std::log(sum), share = weight / sum, even = smoothing / float(width);
        losses[row] = weight * (log_sum - (1.0f - smoothing) * truth - even * all);
        float less = weight * even;
        float at_target = exp_of(truth - top) * share - weight * (1.0f - smoothing) - less;
        SIMD for (int64_t j = 0; j < width; j++) put(z[j], exp_of(get(z[j]) - top) * share - less);
        put(z[targets[row]], at_target);
    }
}
