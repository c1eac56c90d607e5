/* SPDX-License-Identifier: Apache-2.0
 *
 * Outputs put on a grid of 8 bits: one multiplication, one rounding to the nearest integer, ties to even.
 */
#define BEYOND 512.0f     /* more than any that is not cut */
#define WHOLE 12582912.0f /* 1.5 * 2^23: floats of this size are integers, so that a sum with it is rounded */

static void give(PUBLIC(output) *out, const float *from, const struct port *port)
{
    float by = 1 / port->scale, whole = WHOLE + (float)port->zero_point;
    for (size_t i = 0; i < port->size; i++) {
        float steps = from[i] * by;
        steps = steps < BEYOND ? steps > -BEYOND ? steps : -BEYOND : BEYOND; /* a NaN is cut as well */
        int number = (int)(steps + whole - WHOLE);
        out[i] = (PUBLIC(output))(number < -128 ? -128 : number > 127 ? 127 : number);
    }
}
