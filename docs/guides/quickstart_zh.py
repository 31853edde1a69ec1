# %% [markdown]
# # 中文快速入门
#
# 这一页用几分钟走完整个流程：从中文维基百科的原始文本开始，训练词表，分词并制作语料，
# 用**全词掩码**预训练一个很小的 BERT，再用 ChnSentiCorp（酒店、
# 书籍和电脑的评论）微调成情感分类器，最后导出一个直接接收字符串的模型。
# 所有代码在两个 CPU 核上就能运行。模型很小，语料也只有 5 MB，所以不要期待很高的准确率；
# 换成公开的中文 BERT，只需改动一行（见本页末尾）。

# %%
import os
import shutil

import keras

import kerasbert
from kerasbert.data.corpus import WordFinder

SHORT = os.environ.get("KERASBERT_GUIDE") == "short"  # 测试时只跑几步
FILES, VOCABULARY = ([0], 150) if SHORT else ([0, 1, 2, 3, 7], 6_000)
STEPS, EXAMPLES = (10, 32) if SHORT else (600, 1_200)
keras.utils.set_random_seed(0)

# %% [markdown]
# ## 准备文本
#
# 输入可以是纯文本（空行分隔文档）、JSON lines、Parquet，也可以是 WikiExtractor 的输出，
# 例如这里的文件。简体和繁体混在一起没有关系。

# %%
URL = (
    "https://raw.githubusercontent.com/overweightbarracuda/science_fair2324/"
    "feae5b5124d06debbbc7824bedb78561a29b00ca/AA"
)
paths = [keras.utils.get_file(f"zhwiki_{n:02}", f"{URL}/wiki_{n:02}") for n in FILES]


def lines(paths):
    for path in paths:
        with open(path, encoding="utf-8") as file:
            yield from (line for line in file if not line.startswith(("<doc", "</doc")))


print(f"{sum(map(len, lines(paths))) / 1e6:.1f} 百万字")

# %% [markdown]
# ## 词表
#
# BERT 的分词器把每个汉字当作一个词元，英文和数字则切成子词。如果要接着训练 `bert-base-chinese`，
# 就用它自己的词表：`kerasbert.tokenizer_from_preset("hf://google-bert/bert-base-chinese")`。

# %%
vocabulary = kerasbert.text.train_vocabulary(lines(paths), VOCABULARY)
tokenizer = kerasbert.text.WordPieceTokenizer(vocabulary)
ids = tokenizer(["他在北京大学学习Python。"])
print(*(tokenizer.id_to_token(int(i)) for i in ids[0]))

# %% [markdown]
# ## 语料与全词掩码
#
# 中文没有空格，模型不知道“北京大学”是一个词。只遮住“京”字太容易猜，整个词一起遮住，
# 模型才必须理解上下文（Cui 等，1906.08101；ERNIE，1904.09223）。
# 制作语料时用 jieba（`pip install 'kerasbert[chinese]'`）找出词的边界，每个词元多存一个比特；
# 模型读到的仍然是单个的字，所以微调和预测都不需要分词。也可以换成 LTP 或 HanLP，
# 见 [Chinese](../chinese.md#other-segmenters)。

# %%
shutil.rmtree("corpora/zh", ignore_errors=True)  # 上一次运行留下的
kerasbert.data.prepare_corpus(paths, tokenizer, "corpora/zh", words=WordFinder(tokenizer, "jieba"))
corpus = kerasbert.data.Corpus("corpora/zh")
print(f"{corpus.num_documents:,} 篇文档，{corpus.num_tokens:,} 个词元")

# %% [markdown]
# `mask_unit` 决定什么被整体遮住：`"token"`（单字）、`"whole_word"`（词）、`"ngram"`（一到四个词，
# MacBERT）或 `"span"`（SpanBERT）。下面是语料中的一行，
# 遮住的词元写作 `[MASK]`，其中少数换成了别的字，或者保持原样，与 BERT 一样：

# %%
batches = kerasbert.data.PretrainingBatches(corpus, 64, 64, mask_unit="whole_word", seed=0)
features, _, _ = batches.batch(0)
row = [tokenizer.id_to_token(int(i)) for i in features["token_ids"][0]]
print("".join(token for token in row if token != "[PAD]"))

# %% [markdown]
# ## 预训练
#
# 目标与 BERT 相同：遮住的词元，以及下一句预测。短的训练不用 dropout，学习率可以高一些。

# %%
config = kerasbert.BackboneConfig.from_preset(
    "bert_tiny",
    vocabulary_size=tokenizer.vocabulary_size,
    max_sequence_length=128,
    dropout=0.0,
    attention_dropout=0.0,
)
model = kerasbert.Pretrainer(kerasbert.Backbone(config), tokenizer=tokenizer)
rate = kerasbert.training.Warmup(2e-3, STEPS, warmup_steps=STEPS // 10)
model.compile(kerasbert.training.adamw(rate))
history = model.fit(batches.dataset(), steps_per_epoch=STEPS // 5, epochs=5, verbose=2)

# %% [markdown]
# ## 微调：ChnSentiCorp
#
# 每条评论是正面（1）或负面（0）。`read_examples` 能识别常见的列名，这里是 `text_a` 和 `label`。
# 我们把预训练过的模型和随机初始化的模型做个比较。
# 六百步只够学会哪些字常见，所以预训练在这里还没有好处；
# 要让它见效，需要更多的文本和步数，或者公开的模型（见下文）。

# %%
URL = (
    "https://raw.githubusercontent.com/pengming617/bert_classification/"
    "c155e73ee9272aa61589116aebd762204c3e4c83/data"
)
path = keras.utils.get_file("chnsenticorp-train.tsv", f"{URL}/train.tsv")
train = kerasbert.data.read_examples(path)
path = keras.utils.get_file("chnsenticorp-dev.tsv", f"{URL}/dev.tsv")
dev = kerasbert.data.read_examples(path)
texts, labels = train.texts["text"][:EXAMPLES], train.labels[:EXAMPLES]
print(f"{len(texts):,} 条训练，{len(dev):,} 条测试；例如：{texts[1]}")

# %%
most = max(map(dev.labels.count, dev.classes)) / len(dev)
print(f"总是回答同一类：准确率 {most:.3f}")
model.save_to_preset("runs/zh", overwrite=True)
pretrained = kerasbert.TextClassifier.from_preset("runs/zh", classes=train.classes)
random = kerasbert.TextClassifier(
    kerasbert.Backbone(config), classes=train.classes, tokenizer=tokenizer
)
for name, classifier in (("随机初始化", random), ("预训练之后", pretrained)):
    classifier.compile(kerasbert.training.adamw(5e-4))
    classifier.fit(texts, labels, batch_size=32, epochs=4, verbose=0)
    accuracy = classifier.score(dev.texts["text"], dev.labels)["accuracy"]
    print(f"{name}：准确率 {accuracy:.3f}")

# %% [markdown]
# ## 使用与导出
#
# `classify` 返回类别和概率。`export` 写出 SavedModel，词表和分词都在里面，服务器直接接收字符串。

# %%
for text in (
    "房间很干净，服务员也很热情，下次还会再来。",
    "屏幕有坏点，客服一直不理人，太失望了。",
):
    answer = pretrained.classify([text])[0]
    print(answer["label"], round(answer["scores"][answer["label"]], 2), text)

pretrained.export("saved_models/zh/1", check=not SHORT, overwrite=True)
client = kerasbert.serving.SavedModelClient("saved_models/zh")
print(client(text=["早餐种类太少，而且都是凉的。"])[0]["label"])

# %% [markdown]
# ## 用公开的中文模型
#
# 实际使用时，从公开的模型开始。只有这一行不同：
#
# ```py
# classifier = kerasbert.TextClassifier.from_preset(
#     "hf://google-bert/bert-base-chinese", classes=["0", "1"], sequence_length=256
# )
# ```
#
# `hfl/chinese-roberta-wwm-ext`、`hfl/chinese-macbert-base` 也是 BERT 的结构，ERNIE 同样支持；
# [Models and checkpoints](../checkpoints.md) 说明了可以读取的格式。
# 这些模型在 ChnSentiCorp 上的准确率，论文里大约是 95 %。
#
# ## 命令行
#
# 同样的流程，不写 Python。长时间的训练请用这些命令：它们会写检查点，
# 中断之后重复同一条命令就能接着训练，权重与没有中断时逐位相同，也支持多个 GPU 和多台机器。
#
# ```bash
# kerasbert build_vocab --input 'zhwiki/*' --vocab_size 8000 --output vocab.txt
# kerasbert prepare_corpus --input 'zhwiki/*' --vocab vocab.txt --word_segmenter jieba \
#     --output corpora/zhwiki
# kerasbert pretrain --corpus corpora/zhwiki --preset bert_small --mask_unit whole_word \
#     --steps 100000 --output runs/zhwiki
# kerasbert finetune --init runs/zhwiki/model --train train.tsv --validation dev.tsv \
#     --output runs/reviews
# kerasbert export --model runs/reviews/model --output saved_models/reviews/1
# kerasbert serve --saved_model saved_models/reviews
# ```
#
# ## 接下来
#
# - [Chinese](../chinese.md)：其他分词器，短语和实体的掩码。
# - [Tasks](../tasks.md)：命名实体、问答、句向量、多标签分类，都能用于中文；数据格式和指标。
# - [Training](../training.md)、[Serving](../serving.md)：全部选项。
# - 从其他库转来：[bert4keras](../coming_from/bert4keras.md)、
#   [transformers](../coming_from/transformers.md)。
