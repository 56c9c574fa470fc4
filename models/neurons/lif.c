/* The neuron of lif.py in one pass over memory, forward and back; sweep.py has the formulas.

   Compiled by fused.py for REAL float and for REAL double. A tensor is [steps, neurons]: neighbours adjacent, any
   stride from step to step. BLOCK neurons at a time go through all steps, so that their state stays in the first cache.
   Nothing may be contracted or reordered (-ffp-contract=off, no -ffast-math): then spikes and gradients are rounded as
   the reference rounds them. `a` and `b` are the pulse's constants, as surrogate.py lists them.

   With an Affine, currents are made on the way: scale · in + shift (+ plus_scale · plus), all but in and plus by
   channels, which are innermost in memory. That is a BatchNorm, channels last, or the sum of two. A block is then as many whole pixels as it holds, and what
   belongs to a channel is repeated for each of them, in lanes. Numbers of channels are double, in every precision.

   Rows of a block are short, so that the processor's own prefetching starts anew with each: SOON asks for the next. */
#include <stdint.h>
#include <stdlib.h>

extern float expf(float);
extern double exp(double);

#define BLOCK 512
#define EACH _Pragma("omp simd") for (int64_t i = 0; i < count; i++)
#define ABS(x) ((x) < 0 ? -(x) : (x))

enum { TRIANGLE, ARCTAN, SIGMOID, RECTANGLE, SMOOTH };

typedef struct {
    int64_t steps, pulse, detached, cut;
    double decay, threshold, a, b;
} Neuron;

typedef struct {
    REAL *data;
    int64_t stride;
} Steps;

typedef struct {
    int64_t channels; /* at most BLOCK */
    const double *scale, *shift, *plus_scale; /* plus_scale is 0 for one */
    Steps plus; /* data is 0 where nothing is added */
} Affine;

typedef REAL Lanes[BLOCK];

typedef struct {
    Lanes scale, shift, plus_scale;
    int64_t scaled;
    Steps plus;
} Line;

#define CONSTANTS \
    const int64_t steps = neuron->steps, pulse = neuron->pulse; \
    const REAL decay = neuron->decay, threshold = neuron->threshold, a = neuron->a, b = neuron->b;

#define AT(tensor) ((tensor)->data + t * (tensor)->stride + from)
#define SOON(row) \
    for (int64_t i = 0; i < count; i += 64 / (int64_t)sizeof(REAL)) __builtin_prefetch((row) + count + i, 0, 2);
#define BLOCKS(block) \
    for (int64_t from = start; from < stop; from += (block)) { \
        const int64_t count = stop - from < (block) ? stop - from : (block);

static inline REAL logistic(REAL x) { return 1 / (1 + EXP(-x)); }

static int64_t pixels(int64_t channels) { return BLOCK / channels * channels; }

static void spread(Lanes lanes, const double *by_channel, int64_t channels)
{
    for (int64_t i = 0; i < pixels(channels); i++) lanes[i] = by_channel[i % channels];
}

/* Adds two rows of lanes to two rows by channels. */
static void gather(double *by_channel, const double *lanes, int64_t channels)
{
    for (int64_t row = 0; row < 2; row++)
        for (int64_t i = 0; i < pixels(channels); i++) by_channel[row * channels + i % channels] += lanes[row * BLOCK + i];
}

/* What `affine` says, in lanes, kept in `room`; 0 for 0. */
static const Line *lined(Line *room, const Affine *affine)
{
    if (!affine) return 0;
    spread(room->scale, affine->scale, affine->channels);
    spread(room->shift, affine->shift, affine->channels);
    room->scaled = affine->plus_scale != 0;
    if (room->scaled) spread(room->plus_scale, affine->plus_scale, affine->channels);
    room->plus = affine->plus;
    return room;
}

static inline void fetch(REAL *into, const REAL *in, const Line *line, int64_t t, int64_t from, int64_t count)
{
    SOON(in)
    if (!line) {
        EACH into[i] = in[i];
    } else if (!line->plus.data) {
        EACH into[i] = line->scale[i] * in[i] + line->shift[i];
    } else {
        const REAL *more = AT(&line->plus);
        SOON(more)
        if (line->scaled) {
            EACH into[i] = line->scale[i] * in[i] + line->shift[i] + line->plus_scale[i] * more[i];
        } else {
            EACH into[i] = line->scale[i] * in[i] + line->shift[i] + more[i];
        }
    }
}

/* The membranes before the reset, from the currents. */
#define HISTORY(u, line) \
    for (int64_t t = 0; t < steps; t++) { \
        Lanes in; \
        fetch(in, AT(current), line, t, from, count); \
        REAL *now = u + t * BLOCK, *before = now - BLOCK; \
        if (t == 0) { EACH now[i] = in[i]; } \
        else if (pulse == SMOOTH) { \
            EACH now[i] = decay * (before[i] * (1 - logistic(a * (before[i] - threshold)))) + in[i]; \
        } else { \
            EACH now[i] = decay * (before[i] * (1 - (REAL)(before[i] > threshold))) + in[i]; \
        } \
    }

/* BODY once for each pulse, with the spike s, its slope and the slope's slope, `bend`. */
#define BY_PULSE(BODY) \
    switch (pulse) { \
    case TRIANGLE: BODY(s = x > 0; REAL h = a - ABS(x); slope = (h > 0 ? h : 0) / b; \
                        bend = (h > 0 ? (REAL)(x < 0) - (REAL)(x > 0) : 0) / b) break; \
    case ARCTAN: BODY(s = x > 0; REAL z = a * x, r = 1 / (1 + z * z); slope = r * b; bend = -2 * slope * r * z * a) break; \
    case SIGMOID: BODY(s = x > 0; REAL v = logistic(a * x); slope = a * v * (1 - v); bend = a * slope * (1 - 2 * v)) break; \
    case RECTANGLE: BODY(s = x > 0; slope = (REAL)(ABS(x) < a) / b; bend = 0) break; \
    case SMOOTH: BODY(s = logistic(a * x); slope = a * s * (1 - s); bend = a * slope * (1 - 2 * s)) break; \
    }

int spikes(const Neuron *neuron, const Affine *affine, int64_t start, int64_t stop, const Steps *current, const Steps *result)
{
    CONSTANTS
    Lanes membrane, in;
    Line room;
    const Line *line = lined(&room, affine);
    (void)b;
    BLOCKS(affine ? pixels(affine->channels) : BLOCK)
        EACH membrane[i] = 0;
        for (int64_t t = 0; t < steps; t++) {
            REAL *out = AT(result);
            fetch(in, AT(current), line, t, from, count);
            if (pulse == SMOOTH) {
                EACH {
                    const REAL u = decay * membrane[i] + in[i];
                    out[i] = logistic(a * (u - threshold));
                    membrane[i] = u * (1 - out[i]);
                }
            } else {
                EACH {
                    const REAL u = decay * membrane[i] + in[i], fired = u > threshold;
                    out[i] = fired;
                    membrane[i] = u * (1 - fired);
                }
            }
        }
    }
    return 0;
}

static void add_moments(double *sums, int64_t steps, const Steps *x, const Steps *weights, const Lanes centre,
                        int64_t from, int64_t count)
{
    for (int64_t t = 0; t < steps; t++) {
        const REAL *in = AT(x), *w = weights ? AT(weights) : 0;
        if (!w) SOON(in)
        EACH {
            const REAL apart = in[i] - centre[i], weight = w ? w[i] : apart;
            sums[i] += weight;
            sums[BLOCK + i] += (double)weight * apart;
        }
    }
}

/* Adds Σ (x − centre) and Σ (x − centre)² to the two rows of `sums`, by channels. */
int moments(int64_t steps, int64_t channels, int64_t start, int64_t stop, const Steps *x, const double *centre,
            double *sums)
{
    Lanes about;
    double lanes[2 * BLOCK] = {0};
    spread(about, centre, channels);
    BLOCKS(pixels(channels))
        add_moments(lanes, steps, x, 0, about, from, count);
    }
    gather(sums, lanes, channels);
    return 0;
}

#define GRADIENT(...) { \
    EACH { \
        const REAL u = now[i], x = u - threshold, later = ahead[i]; \
        REAL s, slope, bend; \
        __VA_ARGS__; \
        (void)bend; \
        out[i] = (g[i] - attached * (later * u)) * slope + later * (1 - s); \
        ahead[i] = carried * out[i]; \
    } }

/* With `sums`, adds Σ d and Σ d (x − centre) to its two rows, by channels, d being the result and x what is given as
   current; and to the next two, with a plus_scale, the same of plus. Returns 1 when there is no memory. */
int gradient(const Neuron *neuron, const Affine *affine, int64_t start, int64_t stop, const Steps *current,
             const Steps *upstream, const Steps *result, const double *centre, const double *plus_centre, double *sums)
{
    CONSTANTS
    const REAL attached = !neuron->detached, carried = neuron->cut ? 0 : decay; /* what a gradient brings from step to step */
    double lanes[2 * BLOCK] = {0}, plus_lanes[2 * BLOCK] = {0};
    Lanes ahead, about, plus_about;
    Line room;
    const Line *line = lined(&room, affine);
    const int64_t two = sums && line->scaled;
    REAL *history = malloc(sizeof(REAL) * steps * BLOCK);
    if (!history) return 1;
    if (sums) spread(about, centre, affine->channels);
    if (two) spread(plus_about, plus_centre, affine->channels);
    BLOCKS(affine ? pixels(affine->channels) : BLOCK)
        HISTORY(history, line)
        EACH ahead[i] = 0;
        for (int64_t t = steps - 1; t >= 0; t--) {
            const REAL *g = AT(upstream), *now = history + t * BLOCK;
            REAL *out = AT(result);
            SOON(g)
            BY_PULSE(GRADIENT)
        }
        if (sums) add_moments(lanes, steps, current, result, about, from, count);
        if (two) add_moments(plus_lanes, steps, &line->plus, result, plus_about, from, count);
    }
    if (sums) gather(sums, lanes, affine->channels);
    if (two) gather(sums + 2 * affine->channels, plus_lanes, affine->channels);
    free(history);
    return 0;
}

#define TANGENT(...) { \
    EACH { \
        const REAL u = now[i], x = u - threshold, moved = carried * state[i] + v[i]; \
        REAL s, slope, bend; \
        __VA_ARGS__; \
        (void)bend; \
        along[i] = moved; \
        out[i] = slope * moved; \
        state[i] = moved * (1 - s) - attached * (u * out[i]); \
    } }

#define CURVATURE(...) { \
    EACH { \
        const REAL u = now[i], x = u - threshold, moved = along[i], first = ahead[i], second = state[i]; \
        REAL s, slope, bend; \
        __VA_ARGS__; \
        const REAL p = g[i] - attached * (first * u); \
        const REAL c = p * bend * moved + second * (1 - s) \
            - attached * (first * (slope * moved) + (first * moved + second * u) * slope); \
        ahead[i] = carried * (p * slope + first * (1 - s)); \
        state[i] = carried * c; \
        out[i] = c; \
    } }

/* Returns 1 when there is no memory. */
int second(const Neuron *neuron, const Affine *affine, int64_t start, int64_t stop, const Steps *current,
           const Steps *upstream, const Steps *direction, const Steps *tangent, const Steps *curvature)
{
    CONSTANTS
    const REAL attached = !neuron->detached, carried = neuron->cut ? 0 : decay; /* what a gradient brings from step to step */
    Lanes ahead, state;
    Line room;
    const Line *line = lined(&room, affine);
    REAL *history = malloc(sizeof(REAL) * 2 * steps * BLOCK);
    if (!history) return 1;
    BLOCKS(affine ? pixels(affine->channels) : BLOCK)
        HISTORY(history, line)
        EACH ahead[i] = state[i] = 0;
        for (int64_t t = 0; t < steps; t++) {
            const REAL *v = AT(direction), *now = history + t * BLOCK;
            REAL *out = AT(tangent), *along = history + (steps + t) * BLOCK;
            BY_PULSE(TANGENT)
        }
        EACH state[i] = 0;
        for (int64_t t = steps - 1; t >= 0; t--) {
            const REAL *g = AT(upstream), *now = history + t * BLOCK, *along = history + (steps + t) * BLOCK;
            REAL *out = AT(curvature);
            BY_PULSE(CURVATURE)
        }
    }
    free(history);
    return 0;
}

/* scale · (in − first − second · (x − centre)), these by channels: back through a BatchNorm. */
int centred(int64_t steps, int64_t channels, int64_t start, int64_t stop, const Steps *in, const Steps *x,
            const double *centre, const double *scale, const double *first, const double *second, const Steps *result)
{
    Lanes about, factor, mean, slope;
    spread(about, centre, channels);
    spread(factor, scale, channels);
    spread(mean, first, channels);
    spread(slope, second, channels);
    BLOCKS(pixels(channels))
        for (int64_t t = 0; t < steps; t++) {
            const REAL *d = AT(in), *at = AT(x);
            REAL *out = AT(result);
            SOON(d)
            SOON(at)
            EACH out[i] = factor[i] * (d[i] - mean[i] - slope[i] * (at[i] - about[i]));
        }
    }
    return 0;
}

/* Numbers start to stop of `spikes`, eight to a byte, the first in the lowest bit; start is a multiple of eight. */
int pack(int64_t start, int64_t stop, const REAL *spikes, uint8_t *bits)
{
    for (int64_t from = start; from < stop; from += 8) {
        const int64_t count = stop - from < 8 ? stop - from : 8;
        int byte = 0;
        for (int64_t i = 0; i < count; i++) byte |= (spikes[from + i] != 0) << i;
        bits[from / 8] = byte;
    }
    return 0;
}

int unpack(int64_t start, int64_t stop, const uint8_t *bits, REAL *spikes)
{
    for (int64_t i = start; i < stop; i++) spikes[i] = bits[i / 8] >> i % 8 & 1;
    return 0;
}
