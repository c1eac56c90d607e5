/* SPDX-License-Identifier: Apache-2.0
 *
 * Outputs as the network's last kernels give them.
 */

static void give(PUBLIC(output) *out, const float *from, const struct port *port)
{
    memcpy(out, from, port->size * sizeof(float));
}
