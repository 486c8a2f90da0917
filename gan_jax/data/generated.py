"""What a generated picture says of itself in its file: that it is one, and what made it."""

import xml.sax.saxutils

KIND = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"


def xmp(maker: str) -> bytes:
    """An XMP packet by which programs show a picture as generated: IPTC's DigitalSourceType, as in
    the IPTC Photo Metadata Standard 2023.1 and C2PA's actions.

    maker: what made it, for xmp:CreatorTool.
    """
    tool = xml.sax.saxutils.quoteattr(maker)
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about=""'
        ' xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
        ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
        f' xmp:CreatorTool={tool} Iptc4xmpExt:DigitalSourceType="{KIND}"/>'
        '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()
