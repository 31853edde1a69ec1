/* Runs an export through TensorFlow's C API as a server does, without Python or model code.

   saved_model DIRECTORY OP_LIBRARY... < request > answer
   saved_model --ops OP_LIBRARY... > list of all registered ops, an OpList protocol buffer

   A request names tensors of the graph by operation and index. An input has a rank, sizes, and
   strings, each with its length in bytes:

       input serving_default_text 0 1 2 5 a dog 3 cat
       output StatefulPartitionedCall 1

   For each output, the answer has the type, the rank and the sizes, and a line for each value;
   a line that ends with a string begins with its length. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorflow/c/c_api.h"
#include "tensorflow/c/tf_tstring.h"

enum { MOST = 16 }; /* inputs, outputs and dimensions */

static void fail(const char *what, const char *why) {
  fprintf(stderr, "%s: %s\n", what, why);
  exit(1);
}

static void check(TF_Status *status, const char *what) {
  if (TF_GetCode(status) != TF_OK) fail(what, TF_Message(status));
}

static void expect(int right, const char *what) {
  if (!right) fail("request", what);
}

static TF_Tensor *read_strings(void) {
  int rank;
  int64_t sizes[MOST], count = 1;
  expect(scanf("%d", &rank) == 1 && rank >= 0 && rank <= MOST, "a rank");
  for (int i = 0; i < rank; i++) {
    expect(scanf("%" SCNd64, &sizes[i]) == 1 && sizes[i] >= 0, "a size");
    count *= sizes[i];
  }
  TF_Tensor *tensor = TF_AllocateTensor(TF_STRING, sizes, rank, count * sizeof(TF_TString));
  TF_TString *strings = TF_TensorData(tensor);
  for (int64_t i = 0; i < count; i++) {
    size_t length;
    expect(scanf("%zu", &length) == 1 && getchar() == ' ', "the length of a string");
    char *bytes = malloc(length + 1);
    expect(bytes && fread(bytes, 1, length, stdin) == length, "the bytes of a string");
    TF_StringInit(&strings[i]);
    TF_StringCopy(&strings[i], bytes, length);
    free(bytes);
  }
  return tensor;
}

static void write_tensor(const TF_Tensor *tensor) {
  TF_DataType type = TF_TensorType(tensor);
  int64_t count = TF_TensorElementCount(tensor);
  const void *data = TF_TensorData(tensor);
  printf("%d %d", type, TF_NumDims(tensor));
  for (int i = 0; i < TF_NumDims(tensor); i++) printf(" %" PRId64, TF_Dim(tensor, i));
  printf("\n");
  for (int64_t i = 0; i < count; i++) {
    if (type == TF_STRING) {
      const TF_TString *string = (const TF_TString *)data + i;
      size_t length = TF_StringGetSize(string);
      printf("%zu ", length);
      fwrite(TF_StringGetDataPointer(string), 1, length, stdout);
      printf("\n");
    } else if (type == TF_FLOAT) {
      printf("%.9g\n", ((const float *)data)[i]);
    } else if (type == TF_INT32) {
      printf("%" PRId32 "\n", ((const int32_t *)data)[i]);
    } else if (type == TF_INT64) {
      printf("%" PRId64 "\n", ((const int64_t *)data)[i]);
    } else {
      fail("output", "is of a type that no export has");
    }
  }
}

static void run(const char *directory, TF_Status *status) {
  const char *tags[] = {"serve"};
  TF_Graph *graph = TF_NewGraph();
  TF_Session *session = TF_LoadSessionFromSavedModel(TF_NewSessionOptions(), NULL, directory, tags,
                                                     1, graph, NULL, status);
  check(status, directory);

  TF_Output names[2][MOST]; /* of inputs, of outputs */
  TF_Tensor *inputs[MOST], *outputs[MOST] = {NULL};
  int counts[2] = {0, 0}, index;
  char kind[16], operation[256];
  while (scanf("%15s %255s %d", kind, operation, &index) == 3) {
    int is_output = !strcmp(kind, "output"), number = counts[is_output]++;
    expect(number < MOST, "fewer tensors");
    names[is_output][number].oper = TF_GraphOperationByName(graph, operation);
    names[is_output][number].index = index;
    if (!names[is_output][number].oper) fail(operation, "there is no such operation");
    if (!is_output) inputs[number] = read_strings();
  }
  TF_SessionRun(session, NULL, names[0], inputs, counts[0], names[1], outputs, counts[1], NULL, 0,
                NULL, status);
  check(status, "TF_SessionRun");
  for (int i = 0; i < counts[1]; i++) write_tensor(outputs[i]);
}

static void write_ops(void) {
  TF_Buffer *ops = TF_GetAllOpList();
  fwrite(ops->data, 1, ops->length, stdout);
}

int main(int count, char **words) {
  TF_Status *status = TF_NewStatus();
  expect(count > 1, "saved_model DIRECTORY OP_LIBRARY... < request");
  for (int i = 2; i < count; i++) {
    TF_LoadLibrary(words[i], status);
    check(status, words[i]);
  }
  if (!strcmp(words[1], "--ops")) {
    write_ops();
  } else {
    run(words[1], status);
  }
  return 0;
}
