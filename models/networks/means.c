/* Means over windows of 2 x 2 numbers and back, of maps of even height and width one behind the other in memory:
   `rows` pairs of rows of 2 * columns numbers. Summed in torch's order, so to the same bit. */

#include <stdint.h>

void halve(int64_t rows, int64_t columns, const REAL *restrict in, REAL *restrict out)
{
    for (int64_t row = 0; row < rows; row++, in += 4 * columns, out += columns) {
        const REAL *below = in + 2 * columns;
        for (int64_t i = 0; i < columns; i++) out[i] = (in[2 * i] + in[2 * i + 1] + below[2 * i] + below[2 * i + 1]) / 4;
    }
}

void spread(int64_t rows, int64_t columns, const REAL *restrict in, REAL *restrict out)
{
    for (int64_t row = 0; row < rows; row++, in += columns, out += 4 * columns) {
        REAL *below = out + 2 * columns;
        for (int64_t i = 0; i < columns; i++)
            out[2 * i] = out[2 * i + 1] = below[2 * i] = below[2 * i + 1] = in[i] / 4;
    }
}
