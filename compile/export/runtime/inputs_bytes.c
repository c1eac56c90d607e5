/* SPDX-License-Identifier: Apache-2.0
 *
 * Inputs that are bytes: what each of them is to the network's first kernels stands in a table.
 */

/* Nothing can be read where it is. */
static bool place_inputs(struct PUBLIC(instance) *self, const PUBLIC(input) *in)
{
    (void)self, (void)in;
    return true;
}

/* One line of a plane, to every `block`th number from `to` on. */
static void look_up(const struct intake *intake, size_t channel, const uint8_t *from, char *to)
{
    size_t block = intake->block;
    if (intake->size == 1) {
        const uint8_t *table = (const uint8_t *)intake->table + 256 * channel;
        uint8_t *place = (uint8_t *)to;
        for (size_t i = 0; i < intake->width; i++)
            place[i * block] = table[from[i]];
    } else {
        const uint32_t *table = (const uint32_t *)intake->table + 256 * channel;
        uint32_t *place = (uint32_t *)(void *)to;
        for (size_t i = 0; i < intake->width; i++)
            place[i * block] = table[from[i]];
    }
}

/* The part of a border that is in a line. */
static void fill(char *to, uint8_t value, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        to[i] = (char)value;
        __asm__ volatile("" ::: "memory"); /* no memset: see `copy` of inputs_float.c */
    }
}

/* Line `row` of an image as kernels read it, from planes of bytes. */
static void fetch_line(const struct intake *intake, const uint8_t *planes, size_t row, char *image)
{
    size_t pixel = intake->block * intake->size, line = intake->row * intake->size;
    size_t blocks = (intake->channels + intake->block - 1) / intake->block;
    bool within = row >= intake->top && row - intake->top < intake->height;
    size_t before = within ? intake->left * pixel : line, after = within ? before + intake->width * pixel : line;
    for (size_t block = 0; block < blocks; block++) {
        char *to = image + (block * intake->rows + row) * line;
        fill(to, intake->fill, before);
        fill(to + after, intake->fill, line - after);
    }
    for (size_t channel = 0; within && channel < intake->channels; channel++) {
        size_t block = channel / intake->block, lane = channel % intake->block;
        char *to = image + (block * intake->rows + row) * line + before + lane * intake->size;
        look_up(intake, channel,
                planes + (channel * intake->height + row - intake->top) * intake->width, to);
    }
}

/* This thread's part of the lines of every image. */
static void fetch_inputs(struct worker *worker, struct PUBLIC(instance) *self, const PUBLIC(input) *in)
{
    size_t threads = (size_t)self->pool.threads, index = (size_t)worker->index;
    const uint8_t *planes = (const uint8_t *)in;
    for (int i = 0; i < COUNT(intakes); i++) {
        const struct intake *intake = &intakes[i];
        size_t blocks = (intake->channels + intake->block - 1) / intake->block;
        size_t bytes = blocks * intake->rows * intake->row * intake->size;
        size_t first = intake->rows * index / threads, end = intake->rows * (index + 1) / threads;
        char *image = self->tensors[intake->tensor].data;
        for (size_t n = 0; n < intake->images; n++, image += bytes) {
            for (size_t row = first; row < end; row++)
                fetch_line(intake, planes, row, image);
            planes += intake->channels * intake->height * intake->width;
        }
    }
}
