"""A model or a data set for others: a plain Hugging Face folder with a card, or one file for llama.cpp.

MODEL | RUN/STAGE -> source -> folder: weights, tokenizer, chat template, README.md
                            -> GGUF: weights, vocabulary, chat template
RUN/STAGE of kind sample    -> folder: records, README.md
"""
