/* The neuron of lif.py in one pass over memory, forward and back; sweep.py has the formulas.

   Compiled by fused.py for REAL float and for REAL double. A tensor is [steps, neurons]: neighbours adjacent, any
   stride from step to step. BLOCK neurons at a time go through all steps, so that their state stays in the first cache.
   Nothing may be contracted or reordered (-ffp-contract=off, no -ffast-math): then spikes and gradients are rounded as
   the reference rounds them. `a` and `b` are the pulse's constants, as surrogate.py lists them.

   With an Affine, currents are made on the way: scale · in + shift (+ plus), where scale and shift hold one number for
   each neuron of a block, and blocks begin at a multiple of its length. That is a BatchNorm, channels last. */
#include <stdint.h>
#include <stdlib.h>

extern float expf(float);
extern double exp(double);

#define BLOCK 512
#define EACH _Pragma("omp simd") for (int64_t i = 0; i < count; i++)
#define ABS(x) ((x) < 0 ? -(x) : (x))

enum { TRIANGLE, ARCTAN, SIGMOID, RECTANGLE, SMOOTH };

typedef struct {
    int64_t steps, pulse, detached;
    double decay, threshold, a, b;
} Neuron;

typedef struct {
    REAL *data;
    int64_t stride;
} Steps;

typedef struct {
    int64_t block; /* at most BLOCK, and a multiple of the channels */
    const REAL *scale, *shift;
    Steps plus; /* data is 0 where nothing is added */
} Affine;

#define CONSTANTS \
    const int64_t steps = neuron->steps, pulse = neuron->pulse; \
    const REAL decay = neuron->decay, threshold = neuron->threshold, a = neuron->a, b = neuron->b;

#define AT(tensor) ((tensor)->data + t * (tensor)->stride + from)
#define BLOCKS(block) \
    for (int64_t from = start; from < stop; from += (block)) { \
        const int64_t count = stop - from < (block) ? stop - from : (block);

static inline REAL logistic(REAL x) { return 1 / (1 + EXP(-x)); }

static inline void fetch(REAL *into, const REAL *in, const Affine *affine, int64_t t, int64_t from, int64_t count)
{
    if (!affine) {
        EACH into[i] = in[i];
    } else if (!affine->plus.data) {
        EACH into[i] = affine->scale[i] * in[i] + affine->shift[i];
    } else {
        const REAL *more = AT(&affine->plus);
        EACH into[i] = affine->scale[i] * in[i] + affine->shift[i] + more[i];
    }
}

/* The membranes before the reset, from the currents. */
#define HISTORY(u, affine) \
    for (int64_t t = 0; t < steps; t++) { \
        REAL in[BLOCK]; \
        fetch(in, AT(current), affine, t, from, count); \
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
    REAL membrane[BLOCK], in[BLOCK];
    (void)b;
    BLOCKS(affine ? affine->block : BLOCK)
        EACH membrane[i] = 0;
        for (int64_t t = 0; t < steps; t++) {
            REAL *out = AT(result);
            fetch(in, AT(current), affine, t, from, count);
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

/* Into `sums`, two rows of `block`: Σ w and Σ w (x − centre), lane by lane, w being x − centre without `weights`. */
int moments(int64_t steps, int64_t block, int64_t start, int64_t stop, const Steps *x, const Steps *weights,
            const REAL *centre, double *sums)
{
    BLOCKS(block)
        for (int64_t t = 0; t < steps; t++) {
            const REAL *in = AT(x), *w = weights ? AT(weights) : 0;
            EACH {
                const REAL apart = in[i] - centre[i], weight = w ? w[i] : apart;
                sums[i] += weight;
                sums[block + i] += (double)weight * apart;
            }
        }
    }
    return 0;
}

#define GRADIENT(...) { \
    EACH { \
        const REAL u = now[i], x = u - threshold, later = ahead[i]; \
        REAL s, slope, bend; \
        __VA_ARGS__; \
        (void)bend; \
        out[i] = (g[i] - attached * (later * u)) * slope + later * (1 - s); \
        ahead[i] = decay * out[i]; \
    } }

/* With `sums`, also the moments of the result, while it is in the cache. Returns 1 when there is no memory. */
int gradient(const Neuron *neuron, const Affine *affine, int64_t start, int64_t stop, const Steps *current,
             const Steps *upstream, const Steps *result, const REAL *centre, double *sums)
{
    CONSTANTS
    const REAL attached = !neuron->detached;
    REAL ahead[BLOCK], *history = malloc(sizeof(REAL) * steps * BLOCK);
    if (!history) return 1;
    BLOCKS(affine ? affine->block : BLOCK)
        HISTORY(history, affine)
        EACH ahead[i] = 0;
        for (int64_t t = steps - 1; t >= 0; t--) {
            const REAL *g = AT(upstream), *now = history + t * BLOCK;
            REAL *out = AT(result);
            BY_PULSE(GRADIENT)
        }
        if (sums) moments(steps, affine->block, from, from + count, current, result, centre, sums);
    }
    free(history);
    return 0;
}

#define TANGENT(...) { \
    EACH { \
        const REAL u = now[i], x = u - threshold, moved = decay * state[i] + v[i]; \
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
        ahead[i] = decay * (p * slope + first * (1 - s)); \
        state[i] = decay * c; \
        out[i] = c; \
    } }

/* Returns 1 when there is no memory. */
int second(const Neuron *neuron, const Affine *affine, int64_t start, int64_t stop, const Steps *current,
           const Steps *upstream, const Steps *direction, const Steps *tangent, const Steps *curvature)
{
    CONSTANTS
    const REAL attached = !neuron->detached;
    REAL ahead[BLOCK], state[BLOCK], *history = malloc(sizeof(REAL) * 2 * steps * BLOCK);
    if (!history) return 1;
    BLOCKS(affine ? affine->block : BLOCK)
        HISTORY(history, affine)
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

/* scale · (in − first − second · (x − centre)): back through a BatchNorm. */
int centred(int64_t steps, int64_t block, int64_t start, int64_t stop, const Steps *in, const Steps *x,
            const REAL *centre, const REAL *scale, const REAL *first, const REAL *second, const Steps *result)
{
    BLOCKS(block)
        for (int64_t t = 0; t < steps; t++) {
            const REAL *d = AT(in), *at = AT(x);
            REAL *out = AT(result);
            EACH out[i] = scale[i] * (d[i] - first[i] - second[i] * (at[i] - centre[i]));
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
