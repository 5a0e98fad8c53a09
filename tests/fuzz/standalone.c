/* Runs a fuzz target over the files of its corpus directories (or single files): no libFuzzer needed. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	struct stat st;
	if (!f || fstat(fileno(f), &st) != 0) {
		perror(path);
		return -1;
	}
	size_t n = (size_t)st.st_size;
	uint8_t *data = malloc(n ? n : 1); /* exactly n octets, so that a sanitizer sees the first one too many */
	int ok = data && fread(data, 1, n, f) == n;
	if (ok)
		LLVMFuzzerTestOneInput(data, n);
	free(data);
	fclose(f);
	return ok ? 0 : -1;
}

static int run_dir(const char *path, unsigned *ret_files)
{
	DIR *d = opendir(path);
	if (!d)
		return run_file(path) == 0 ? (++*ret_files, 0) : -1;
	int rc = 0;
	for (struct dirent *e; (e = readdir(d));) {
		char file[4096];
		if (e->d_name[0] == '.')
			continue;
		if (snprintf(file, sizeof(file), "%s/%s", path, e->d_name) >= (int)sizeof(file) || run_file(file) != 0)
			rc = -1;
		else
			++*ret_files;
	}
	closedir(d);
	return rc;
}

int main(int argc, char **argv)
{
	unsigned files = 0;
	int rc = 0;
	for (int i = 1; i < argc; i++)
		if (run_dir(argv[i], &files) != 0)
			rc = 1;
	printf("%u inputs\n", files);
	return files == 0 ? 1 : rc;
}
