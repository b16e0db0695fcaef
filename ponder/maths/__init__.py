"""Mathematics as people and models write it: text is read into a tree, and two trees are equal or not.

    text -> notation (one spelling) -> lexer (tokens) -> reader, terms (tree) -> equality (same meaning or not)

Nothing here knows of golds, completions or verdicts: that is `verify`. Everything is bounded before it is computed.
"""
